/**
 * Names that resolve to places nobody may have us reach, from a real DNS server over UDP: at once, only on the second
 * look-up, beside good addresses, behind an alias. What must not be reached listens on 127.0.0.2 and counts.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { fetchBounded } from "../../src/outbound/fetch.ts";
import { attempt, clientOf } from "../delivery/attempt-scene.ts";
import { policyOf } from "../security/destination-policies.ts";
import { PRIVATE_HOSTS } from "../security/private-spellings.ts";
import { type DnsAnswer, type DnsQuestion, type DnsServer, startDnsServer } from "../support/dns-server.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const PUBLIC = "127.0.0.1";
const INNER = "127.0.0.2";
/** Of this machine only the "public" address is opened, so that no test leaves it. */
const policy = policyOf([`${PUBLIC}/32`]);

async function dnsServer(answer: (question: DnsQuestion, nth: number) => DnsAnswer): Promise<DnsServer> {
  const server = await startDnsServer(answer);
  closing.push(() => server.close());
  return server;
}

/** A destination and an inner service at the same port of two addresses; both answer 200 and count. */
async function neighbours() {
  const counts = { [PUBLIC]: 0, [INNER]: 0 };
  const listen = async (address: keyof typeof counts, port: number): Promise<Server> => {
    const server = createServer((_request, response) => {
      counts[address] += 1;
      // Closed after each answer: every attempt resolves and connects anew.
      response.writeHead(200, { connection: "close" }).end();
    });
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, address, resolve));
    closing.push(() => new Promise((resolve) => server.close(resolve)));
    return server;
  };
  const { port } = (await listen(INNER, 0)).address() as AddressInfo;
  await listen(PUBLIC, port);
  return { port, counts };
}

describe("a rebinding DNS server", () => {
  test("a name that turns private on a later look-up is refused from then on", async () => {
    const { port, counts } = await neighbours();
    const dns = await dnsServer((_question, nth) => ({ addresses: [nth === 1 ? PUBLIC : INNER] }));
    const client = clientOf({ policy, resolver: dns.resolver });
    const url = `http://rebind.example.com:${port}/`;
    const first = await attempt(client, url);
    expect([first.statusCode, first.remoteAddress]).toEqual([200, PUBLIC]);
    for (let count = 0; count < 3; count += 1) {
      expect(await attempt(client, url)).toMatchObject({ errorCode: "blocked_address", remoteAddress: null });
    }
    expect(counts).toEqual({ [PUBLIC]: 1, [INNER]: 0 });
    expect(dns.questions.filter(({ type }) => type === "A")).toHaveLength(4);
  });

  test("one exchange asks once, and goes where that answer says: there is no second look-up to change", async () => {
    const { port, counts } = await neighbours();
    const dns = await dnsServer((_question, nth) => ({ addresses: [nth === 1 ? PUBLIC : INNER] }));
    const client = clientOf({ policy, resolver: dns.resolver });
    await attempt(client, `http://rebind.example.com:${port}/`);
    expect(dns.questions.map(({ type }) => type).sort()).toEqual(["A", "AAAA"]);
    expect(counts).toEqual({ [PUBLIC]: 1, [INNER]: 0 });
  });

  test("a name that alternates is reached every other time, and the inner service never", async () => {
    const { port, counts } = await neighbours();
    const dns = await dnsServer((_question, nth) => ({ addresses: [nth % 2 === 1 ? PUBLIC : INNER] }));
    const client = clientOf({ policy, resolver: dns.resolver });
    const codes: (string | null)[] = [];
    for (let count = 0; count < 6; count += 1) {
      codes.push((await attempt(client, `http://rebind.example.com:${port}/`)).errorCode);
    }
    const blocked = "blocked_address";
    expect(codes).toEqual([null, blocked, null, blocked, null, blocked]);
    expect(counts).toEqual({ [PUBLIC]: 3, [INNER]: 0 });
  });

  test.each<[string, DnsAnswer]>([
    ["a private address first", { addresses: [INNER, PUBLIC] }],
    ["a private address last", { addresses: [PUBLIC, INNER] }],
    ["a private address of the other family", { addresses: [PUBLIC, "::1"] }],
    ["a mapped address of the other family", { addresses: [PUBLIC, "::ffff:127.0.0.2"] }],
    ["a tunnelled address of the other family", { addresses: [PUBLIC, "2002:7f00:2::1"] }],
    ["an alias of an inner name", { addresses: [INNER], alias: "vault.internal" }],
    ["the metadata service", { addresses: ["169.254.169.254"] }],
    ["more addresses than are looked at", { addresses: Array.from({ length: 65 }, (_, n) => `127.0.0.${n + 1}`) }],
  ])("a name with %s reaches nobody, by a delivery or otherwise", async (_what, answer) => {
    const { port, counts } = await neighbours();
    const dns = await dnsServer(() => answer);
    const client = clientOf({ policy, resolver: dns.resolver });
    const url = `http://mixed.example.com:${port}/`;
    expect((await attempt(client, url)).errorCode).toBe("blocked_address");
    const fetched = await fetchBounded(client, url, { timeoutMs: 5_000, bodyBytesMax: 100, peer: "The key server" });
    expect(fetched).toMatchObject({ ok: false, failure: { code: "blocked_address" } });
    expect([counts, client.stats.open]).toEqual([{ [PUBLIC]: 0, [INNER]: 0 }, 0]);
  });

  test.each<[string, DnsAnswer]>([
    ["that does not exist", { error: "NXDOMAIN" }],
    ["whose server fails", { error: "SERVFAIL" }],
    ["whose server refuses", { error: "REFUSED" }],
    ["without addresses", { addresses: [] }],
    ["that nobody answers for", null],
  ])("a name %s is dns", async (_what, answer) => {
    const dns = await dnsServer(() => answer);
    const client = clientOf({ policy, resolver: dns.resolver });
    expect((await attempt(client, "http://none.example.com/")).errorCode).toBe("dns");
  });
});

test("every private address that a name resolves to is refused on connecting, alone and beside a public one", async () => {
  const addresses = [...new Set(PRIVATE_HOSTS.map(canonical))];
  const dns = await dnsServer(({ name }) => {
    const address = addresses[Number(/\d+/.exec(name)?.[0])] ?? "";
    return { addresses: name.startsWith("only") ? [address] : ["1.1.1.1", "2606:4700::1", address] };
  });
  const client = clientOf({ policy: policyOf(), resolver: dns.resolver });
  const reached: string[] = [];
  for (const [index, address] of addresses.entries()) {
    for (const [scheme, kind] of [
      ["http", "only"],
      ["https", "also"],
    ]) {
      const { errorCode } = await attempt(client, `${scheme}://${kind}${index}.example.com/`);
      if (errorCode !== "blocked_address") reached.push(`${address} ${kind}: ${errorCode}`);
    }
  }
  expect(reached).toEqual([]);
  expect(addresses.length).toBeGreaterThanOrEqual(80);
  expect(client.stats.open).toBe(0);
});

/** The address that a spelling stands for, as sockets and resolvers write it. */
function canonical(host: string): string {
  const { hostname } = new URL(`http://${host.replace(/\.+$/, "")}/`);
  return hostname.replace(/^\[|\]$/g, "");
}
