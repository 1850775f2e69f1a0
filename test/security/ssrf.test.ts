import type { LookupAddress } from "node:dns";
import { networkInterfaces } from "node:os";
import { describe, expect, test } from "vitest";
import { addressRangesOf } from "../../src/security/address-ranges.ts";
import {
  ADDRESSES_MAX,
  type DestinationPolicy,
  type Endpoint,
  guardedLookup,
  isAllowedAddress,
  type Resolver,
} from "../../src/security/ssrf.ts";
import { closedPolicy, policyOf } from "./destination-policies.ts";

describe("isAllowedAddress", () => {
  const opened = policyOf(["127.0.0.0/8", "::1/128", "10.0.0.0/8"]);
  const nat64 = policyOf(["64:ff9b::/96"]);
  const mapped = policyOf(["::ffff:0:0/96"]);

  test.each([
    ["1.1.1.1", closedPolicy, true],
    ["2606:4700::1", closedPolicy, true],
    ["127.0.0.1", closedPolicy, false],
    ["::ffff:1.1.1.1", closedPolicy, false],
    ["127.9.9.9", opened, true],
    ["::1", opened, true],
    ["::2", opened, false],
    ["::ffff:127.0.0.1", opened, false],
    ["64:ff9b::1.1.1.1", nat64, true],
    ["64:ff9b::10.0.0.1", nat64, false],
    ["64:ff9b::a9fe:a9fe", nat64, false],
    ["::ffff:1.1.1.1", mapped, true],
    ["::ffff:127.0.0.1", mapped, false],
    ["fe80::1%eth0", policyOf(["::/0"]), false],
    ["2606:4700::1%eth0", closedPolicy, false],
    ["example.com", closedPolicy, false],
    ["0x7f.1", policyOf(["0.0.0.0/0"]), false],
    ["", closedPolicy, false],
  ] as const)("%s", (address, policy, expected) => {
    expect(isAllowedAddress(address, 443, policy)).toBe(expected);
  });

  test("a wildcard listener is every address of this machine, at its port", () => {
    const own = Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map((entry) => entry.address));
    const loopbacks = ["127.0.0.1", "127.255.0.9", "::1"];
    for (const wildcard of ["0.0.0.0", "::", "0:0::0"]) {
      const policy = policyOf(["0.0.0.0/0", "::/0"], [{ address: wildcard, port: 8080 }]);
      for (const address of [...own, ...loopbacks]) {
        expect([address, isAllowedAddress(address, 8080, policy)]).toEqual([address, false]);
      }
      for (const address of loopbacks) expect(isAllowedAddress(address, 8081, policy)).toBe(true);
      expect(isAllowedAddress("192.0.2.77", 8080, policy)).toBe(true);
    }
  });

  test("a listener on one address is that address in any spelling", () => {
    const policy = policyOf(
      ["0.0.0.0/0", "::/0"],
      [
        { address: "127.0.0.1", port: 5432 },
        { address: "FD12:0::1", port: 5432 },
        { address: "localhost", port: 6543 },
      ],
    );
    expect(isAllowedAddress("127.0.0.1", 5432, policy)).toBe(false);
    expect(isAllowedAddress("::ffff:127.0.0.1", 5432, policy)).toBe(false);
    expect(isAllowedAddress("fd12::1", 5432, policy)).toBe(false);
    expect(isAllowedAddress("127.0.0.2", 5432, policy)).toBe(true);
    expect(isAllowedAddress("::1", 6543, policy)).toBe(false);
    expect(isAllowedAddress("127.0.0.9", 6543, policy)).toBe(false);
    expect(isAllowedAddress("10.0.0.9", 6543, policy)).toBe(true);
  });

  test("endpoints may become known after the policy is built", () => {
    const endpoints: Endpoint[] = [];
    const policy = policyOf(["127.0.0.0/8"], endpoints);
    expect(isAllowedAddress("127.0.0.1", 8080, policy)).toBe(true);
    endpoints.push({ address: "127.0.0.1", port: 8080 });
    expect(isAllowedAddress("127.0.0.1", 8080, policy)).toBe(false);
  });
});

describe("addressRangesOf", () => {
  test.each(["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/-1", "host/8", "fe80::%eth0/64"])(
    "refuses %j",
    (cidr) => {
      expect(() => addressRangesOf([cidr])).toThrow(new RangeError(`"${cidr}" is not a CIDR range such as 10.0.0.0/8`));
    },
  );
});

interface Answer {
  readonly error: string | null;
  readonly addresses: string | readonly LookupAddress[];
}

function resolverOf(...addresses: string[]): Resolver {
  return (_hostname, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
}

function look(hostname: string, policy: DestinationPolicy, resolver: Resolver, all = true): Promise<Answer> {
  return new Promise((resolve) => {
    guardedLookup(policy, 443, resolver)(hostname, { all }, (error, addresses) => {
      resolve({ error: error === null ? null : (error.code ?? ""), addresses });
    });
  });
}

const mustNotResolve: Resolver = () => {
  throw new Error("the resolver must not be asked");
};

describe("guardedLookup", () => {
  test("hands over exactly what was resolved", async () => {
    expect(await look("h.example.com", closedPolicy, resolverOf("1.1.1.1", "2606:4700::1"))).toEqual({
      error: null,
      addresses: [
        { address: "1.1.1.1", family: 4 },
        { address: "2606:4700::1", family: 6 },
      ],
    });
    const single = await look("h.example.com", closedPolicy, resolverOf("1.1.1.1", "1.0.0.1"), false);
    expect(single).toEqual({ error: null, addresses: "1.1.1.1" });
  });

  test.each([
    ["a private address", ["10.0.0.1"]],
    ["a private address after a public one", ["1.1.1.1", "127.0.0.1"]],
    ["a private address before a public one", ["::1", "1.1.1.1"]],
    ["a mapped address", ["::ffff:1.1.1.1"]],
    ["an address with a zone", ["1.1.1.1", "fe80::1%lo"]],
    ["something that is no address", ["1.1.1.1", "localhost"]],
    ["more addresses than are checked", Array.from({ length: ADDRESSES_MAX + 1 }, () => "1.1.1.1")],
  ])("refuses a name with %s", async (_what, addresses) => {
    for (const all of [true, false]) {
      const answer = await look("h.example.com", closedPolicy, resolverOf(...addresses), all);
      expect(answer).toEqual({ error: "ERR_BLOCKED_ADDRESS", addresses: [] });
    }
  });

  test("a name without addresses and a resolver's error are resolve errors", async () => {
    expect(await look("h.example.com", closedPolicy, resolverOf())).toEqual({ error: "ERR_RESOLVE", addresses: [] });
    const failing: Resolver = (_hostname, _options, callback) => callback(new Error("ENOTFOUND h.example.com"), []);
    expect(await look("h.example.com", closedPolicy, failing)).toEqual({ error: "ERR_RESOLVE", addresses: [] });
  });

  test("localhost is the opened loopback addresses, without DNS", async () => {
    const ipv4 = { address: "127.0.0.1", family: 4 };
    const ipv6 = { address: "::1", family: 6 };
    const answers = await Promise.all([
      look("localhost", policyOf(["127.0.0.0/8"]), mustNotResolve),
      look("a.localhost", policyOf(["127.0.0.0/8", "::1/128"]), mustNotResolve),
      look("localhost", closedPolicy, mustNotResolve),
      look("localhost", policyOf(["127.0.0.0/8"], [{ address: "0.0.0.0", port: 443 }]), mustNotResolve),
    ]);
    expect(answers).toEqual([
      { error: null, addresses: [ipv4] },
      { error: null, addresses: [ipv4, ipv6] },
      { error: "ERR_BLOCKED_ADDRESS", addresses: [] },
      { error: "ERR_BLOCKED_ADDRESS", addresses: [] },
    ]);
  });

  test("our database by its own name is refused whatever it resolves to", async () => {
    const policy = policyOf([], [{ address: "db.example.com", port: 443 }]);
    const answer = await look("DB.example.com", policy, resolverOf("1.1.1.1"));
    expect(answer).toEqual({ error: "ERR_BLOCKED_ADDRESS", addresses: [] });
  });
});
