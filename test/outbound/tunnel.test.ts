/** Deliveries through a real CONNECT proxy: what it is told, what it sees, and whose fault a failure is. */
import { createServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { fetchBounded } from "../../src/outbound/fetch.ts";
import type { Resolver } from "../../src/security/ssrf.ts";
import { attempt, clientOf, reply, serverOf, urlOf } from "../delivery/attempt-scene.ts";
import { type Behaviour, localhostCertificate, localhostKey } from "../delivery/misbehaving-servers.ts";
import { policyOf } from "../security/destination-policies.ts";
import { type ConnectProxy, type ProxyBehaviour, startConnectProxy } from "../support/connect-proxy.ts";

const proxies: ConnectProxy[] = [];
afterEach(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

async function proxyOf(...options: Parameters<typeof startConnectProxy>): Promise<ConnectProxy> {
  const proxy = await startConnectProxy(...options);
  proxies.push(proxy);
  return proxy;
}

const resolverOf =
  (...addresses: string[]): Resolver =>
  (_hostname, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );

const ok = reply("200 OK\r\ncontent-length: 2", "ok");

describe("a tunnel", () => {
  test("leads to the address that was judged, and carries a plain request as it is", async () => {
    const proxy = await proxyOf();
    const server = await serverOf(ok);
    const client = clientOf({ proxy: proxy.settings, resolver: resolverOf("127.0.0.1") });
    const result = await attempt(client, `http://hooks.example.com:${server.port}/hook`);
    expect(result).toMatchObject({ statusCode: 200, errorCode: null, remoteAddress: "127.0.0.1" });
    expect(proxy.tunnels).toEqual([{ authority: `127.0.0.1:${server.port}`, authorization: undefined }]);
    expect(proxy.others).toEqual([]);
    expect(server.requests[0]).toMatch(/^POST \/hook HTTP\/1\.1\r\nhost: hooks\.example\.com:\d+\r\n/);
    expect(result.times).toEqual({
      ...{ dnsMs: expect.any(Number), connectMs: expect.any(Number) },
      ...{ tlsMs: null, firstByteMs: expect.any(Number) },
    });
  });

  test("is kept and used again, and closed with its client", async () => {
    const proxy = await proxyOf();
    const server = await serverOf(ok);
    const client = clientOf({ proxy: proxy.settings });
    for (let count = 0; count < 3; count += 1) expect((await attempt(client, urlOf(server))).errorCode).toBeNull();
    expect([proxy.tunnels.length, server.connections(), client.stats.idle]).toEqual([1, 1, 1]);
  });

  test("carries TLS from end to end: the certificate is the destination's", async () => {
    const proxy = await proxyOf();
    const seen: Buffer[] = [];
    proxy.behave((_request, client, open) => {
      client.on("data", (chunk: Buffer) => seen.push(chunk));
      open();
    });
    const server = await serverOf(ok, { tls: {} });
    const client = clientOf({ proxy: proxy.settings, certificateAuthorities: localhostCertificate });
    const result = await attempt(client, `https://localhost:${server.port}/`, { body: Buffer.from("a secret body") });
    expect([result.errorCode, result.statusCode]).toEqual([null, 200]);
    expect(result.times.tlsMs).toEqual(expect.any(Number));
    expect(Buffer.concat(seen).toString("latin1")).not.toMatch(/POST|secret/);
    expect(server.requests[0]).toContain("a secret body");
  });

  test("goes through a proxy that speaks TLS itself and asks for a password", async () => {
    const authorization = `Basic ${btoa("name:password")}`;
    const proxy = await proxyOf({ tls: { cert: localhostCertificate, key: localhostKey }, authorization });
    const server = await serverOf(ok, { tls: {} });
    const client = clientOf({ proxy: proxy.settings, certificateAuthorities: localhostCertificate });
    let askedFor: unknown;
    proxy.behave((_request, socket, open) => {
      askedFor = (socket as TLSSocket).servername;
      open();
    });
    expect((await attempt(client, `https://localhost:${server.port}/`)).errorCode).toBeNull();
    expect(proxy.tunnels).toEqual([{ authority: `127.0.0.1:${server.port}`, authorization }]);
    expect(askedFor).toBe("localhost");
    expect(server.requests[0]).not.toMatch(/proxy-authorization/i);
  });

  test("is what other requests of ours go through too", async () => {
    const proxy = await proxyOf();
    const server = await serverOf(ok);
    const options = { timeoutMs: 5_000, bodyBytesMax: 10, peer: "The key server" };
    const fetched = await fetchBounded(clientOf({ proxy: proxy.settings }), urlOf(server), options);
    expect([fetched.ok, proxy.tunnels.length]).toEqual([true, 1]);
  });

  test("is tried to one address after the other", async () => {
    const proxy = await proxyOf();
    const server = await serverOf(ok);
    const resolver = resolverOf("::1", "127.0.0.9", "127.0.0.1");
    const client = clientOf({ proxy: proxy.settings, resolver, policy: policyOf(["127.0.0.0/8", "::1/128"]) });
    const result = await attempt(client, `http://hooks.example.com:${server.port}/`);
    expect([result.errorCode, result.remoteAddress]).toEqual([null, "127.0.0.1"]);
    expect(proxy.tunnels.map(({ authority }) => authority)).toEqual(
      ["[::1]", "127.0.0.9", "127.0.0.1"].map((address) => `${address}:${server.port}`),
    );
  });
});

describe("the guard comes first", () => {
  test.each([
    ["a private address", "http://10.0.0.1/", resolverOf()],
    ["a name with a private address", "http://inner.example.com/", resolverOf("10.0.0.1")],
    ["a name with one private address", "https://inner.example.com/", resolverOf("1.1.1.1", "169.254.169.254")],
  ])("the proxy is never told of %s", async (_what, url, resolver) => {
    const proxy = await proxyOf();
    const result = await attempt(clientOf({ proxy: proxy.settings, policy: policyOf(), resolver }), url);
    expect([result.errorCode, proxy.tunnels]).toEqual(["blocked_address", []]);
  });

  test("a name that does not resolve is dns, without the proxy", async () => {
    const proxy = await proxyOf();
    const client = clientOf({ proxy: proxy.settings, resolver: resolverOf() });
    expect((await attempt(client, "http://none.example.com/")).errorCode).toBe("dns");
    expect(proxy.tunnels).toEqual([]);
  });
});

const refuse =
  (head: string): ProxyBehaviour =>
  (_request, client) =>
    client.end(`HTTP/1.1 ${head}\r\ncontent-length: 0\r\n\r\n`);

describe("faults of the proxy", () => {
  test.each<[string, ProxyBehaviour, string]>([
    [
      "wants a password",
      refuse("407 Proxy Authentication Required"),
      "The egress proxy refused the tunnel with status 407.",
    ],
    ["forbids the destination", refuse("403 Forbidden"), "The egress proxy refused the tunnel with status 403."],
    ["is overloaded", refuse("503 Service Unavailable"), "The egress proxy refused the tunnel with status 503."],
    [
      "redirects",
      refuse("302 Found\r\nlocation: http://127.0.0.1/"),
      "The egress proxy refused the tunnel with status 302.",
    ],
    ["hangs up", (_request, client) => client.destroy(), "The egress proxy did not answer as a proxy should."],
    [
      "speaks no HTTP",
      (_request, client) => client.end("no\r\n\r\n"),
      "The egress proxy did not answer as a proxy should.",
    ],
    [
      "answers with endless headers",
      (_request, client) => client.end(`HTTP/1.1 200 OK\r\na: ${"x".repeat(64 * 1024)}`),
      "The egress proxy did not answer as a proxy should.",
    ],
  ])("one that %s", async (_what, behaviour, message) => {
    const proxy = await proxyOf();
    proxy.behave(behaviour);
    const server = await serverOf(ok);
    const client = clientOf({ proxy: proxy.settings });
    const result = await attempt(client, urlOf(server));
    expect([result.errorCode, result.errorMessage, result.statusCode]).toEqual(["proxy", message, null]);
    expect([result.remoteAddress, server.connections(), client.stats.open]).toEqual([null, 0, 0]);
  });

  test("one whose certificate does not hold, which learns no password", async () => {
    const authorization = `Basic ${btoa("name:password")}`;
    const proxy = await proxyOf({ tls: { cert: localhostCertificate, key: localhostKey }, authorization });
    const result = await attempt(clientOf({ proxy: proxy.settings }), "http://127.0.0.1:9/");
    expect([result.errorCode, proxy.tunnels]).toEqual(["proxy", []]);
  });

  test("one that is not there", async () => {
    const proxy = await startConnectProxy();
    await proxy.close();
    const result = await attempt(clientOf({ proxy: proxy.settings }), "http://127.0.0.1:9/");
    expect([result.errorCode, result.errorMessage]).toEqual(["proxy", "The egress proxy refused the connection."]);
  });

  test("one that accepts nobody", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const held: Socket[] = [];
    silent.on("connection", (socket) => held.push(socket));
    const { port } = silent.address() as { port: number };
    // Speaks no TLS: the handshake with the proxy never ends.
    const settings = { secure: true, hostname: "127.0.0.1", port, authorization: undefined };
    const client = clientOf({ proxy: settings });
    const result = await attempt(client, "http://127.0.0.1:9/", { timeoutMs: 300 });
    expect([result.errorCode, result.errorMessage]).toEqual([
      "proxy",
      "The egress proxy did not answer the connection.",
    ]);
    expect(client.stats.open).toBe(0);
    for (const socket of held) socket.destroy();
    silent.close();
  });
});

describe("faults of the destination", () => {
  test.each<[string, ProxyBehaviour]>([
    ["a gateway's status", refuse("502 Bad Gateway")],
    ["a gateway's time-out", refuse("504 Gateway Timeout")],
    ["Proxy-Status", refuse("503 X\r\nproxy-status: squid; error=connection_refused")],
    ["Squid's own header", refuse("503 X\r\nx-squid-error: ERR_CONNECT_FAIL 111")],
  ])("the proxy tells by %s that it could not connect", async (_what, behaviour) => {
    const proxy = await proxyOf();
    proxy.behave(behaviour);
    const result = await attempt(clientOf({ proxy: proxy.settings }), "http://127.0.0.1:9/");
    expect(result.errorCode).toBe("connect");
    expect(result.errorMessage).toMatch(/^The egress proxy could not connect to the destination \(status 50\d\)\.$/);
  });

  test("a closed port behind the proxy is connect", async () => {
    const proxy = await proxyOf();
    const result = await attempt(clientOf({ proxy: proxy.settings }), "http://127.0.0.1:9/");
    expect(result.errorCode).toBe("connect");
  });

  test.each<[string, Behaviour, string, number | null]>([
    ["resets after the request", { onRequest: (socket) => socket.resetAndDestroy() }, "reset", null],
    ["speaks no HTTP", { onRequest: (socket) => socket.end("no\r\n") }, "protocol", null],
    ["is silent", {}, "timeout", null],
    ["answers with a failure", reply("500 X\r\ncontent-length: 0"), "http_status", 500],
  ])("one that %s", async (_what, behaviour, errorCode, statusCode) => {
    const proxy = await proxyOf();
    const server = await serverOf(behaviour);
    const client = clientOf({ proxy: proxy.settings });
    const result = await attempt(client, urlOf(server), { timeoutMs: errorCode === "timeout" ? 300 : 10_000 });
    expect([result.errorCode, result.statusCode, result.remoteAddress]).toEqual([errorCode, statusCode, "127.0.0.1"]);
  });

  test("a certificate that does not hold is tls, and nothing is sent", async () => {
    const proxy = await proxyOf();
    const server = await serverOf(ok, { tls: {} });
    const result = await attempt(clientOf({ proxy: proxy.settings }), `https://localhost:${server.port}/`);
    expect([result.errorCode, result.errorMessage]).toEqual(["tls", "The destination's certificate is self-signed."]);
    expect(server.requests).toEqual([]);
  });

  test("an answer without an end is cut, over TLS as well", async () => {
    const proxy = await proxyOf();
    const pour: Behaviour = {
      onRequest: (socket) => {
        const more = () => {
          while (!socket.destroyed && socket.write("a: b\r\n".repeat(256)));
        };
        socket.on("drain", more);
        socket.write("HTTP/1.1 200 ");
        more();
      },
    };
    for (const [tls, scheme, host] of [
      [undefined, "http", "127.0.0.1"],
      [{}, "https", "localhost"],
    ] as const) {
      const server = await serverOf(pour, tls && { tls });
      const client = clientOf({ proxy: proxy.settings, certificateAuthorities: localhostCertificate });
      expect((await attempt(client, `${scheme}://${host}:${server.port}/`)).errorCode).toBe("protocol");
      await server.allClosed();
    }
  });
});

describe("giving up", () => {
  test.each<[string, ProxyBehaviour]>([
    ["while the proxy connects", () => {}],
    ["while the handshake is under way", (_request, client) => client.write("HTTP/1.1 200 OK\r\n\r\n")],
  ])("%s closes everything", async (_what, behaviour) => {
    const proxy = await proxyOf();
    const asked = Promise.withResolvers<Socket>();
    proxy.behave((request, client, open) => {
      behaviour(request, client, open);
      asked.resolve(client.resume());
    });
    const client = clientOf({ proxy: proxy.settings });
    const controller = new AbortController();
    const pending = attempt(client, "https://127.0.0.1:9/", { signal: controller.signal });
    const tunnel = await asked.promise;
    const closed = new Promise((resolve) => tunnel.once("end", resolve).once("close", resolve));
    controller.abort();
    expect([(await pending).errorCode, client.stats.open]).toEqual(["aborted", 0]);
    await closed;
  });
});
