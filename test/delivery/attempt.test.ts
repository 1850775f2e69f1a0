import { connect, type Socket } from "node:net";
import { beforeEach, describe, expect, test } from "vitest";
import type { AttemptInput, AttemptResult } from "../../src/delivery/attempt.ts";
import type { AttemptErrorCode } from "../../src/delivery/attempt-error.ts";
import { INFORMATIONAL_RESPONSES_MAX } from "../../src/outbound/exchange.ts";
import type { HttpClient } from "../../src/outbound/http-client.ts";
import { guardedLookup, type Resolver } from "../../src/security/ssrf.ts";
import { policyOf } from "../security/destination-policies.ts";
import { attempt as attemptBy, BODY_BYTES_MAX, clientOf, NOW_MS, reply, serverOf, urlOf } from "./attempt-scene.ts";
import { type Behaviour, listen, localhostCertificate } from "./misbehaving-servers.ts";

let client: HttpClient;
beforeEach(() => {
  client = clientOf();
});
function attempt(url: string, input: Partial<AttemptInput> = {}, by = client): Promise<AttemptResult> {
  return attemptBy(by, url, input);
}

function replyAndEnd(head: string, body = ""): Behaviour {
  return { onRequest: (socket) => socket.end(`HTTP/1.1 ${head}\r\n\r\n${body}`) };
}

describe("answers", () => {
  test("a success carries everything, and its connection is kept", async () => {
    const server = await serverOf(reply("200 OK\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 2", "ok"));
    const result = await attempt(urlOf(server, "/hook?q=%20x"));
    expect(result).toEqual({
      startedAtMs: NOW_MS,
      durationMs: expect.any(Number),
      times: { dnsMs: null, connectMs: expect.any(Number), tlsMs: null, firstByteMs: expect.any(Number) },
      statusCode: 200,
      errorCode: null,
      errorMessage: null,
      responseHeaders: [
        ["X-A", "1"],
        ["x-a", "2"],
        ["content-length", "2"],
      ],
      responseBody: Buffer.from("ok"),
      responseTruncated: false,
      remoteAddress: "127.0.0.1",
      retryAfterMs: null,
    });
    expect(server.requests).toEqual([
      `POST /hook?q=%20x HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nconnection: keep-alive\r\n` +
        'content-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}',
    ]);
    expect(client.stats).toEqual({ open: 1, idle: 1, waiting: 0 });
  });

  test("the body's bytes are sent and read as they are", async () => {
    const bytes = Buffer.from([0, 255, 13, 10, 128, 195]);
    const server = await serverOf({
      onRequest: (socket) => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\n");
        socket.write(bytes);
      },
    });
    const result = await attempt(urlOf(server), { body: bytes });
    expect(result.errorCode).toBeNull();
    expect(result.responseBody).toEqual(bytes);
    expect(server.requests[0]?.endsWith(`\r\n\r\n${bytes.toString("latin1")}`)).toBe(true);
  });

  test("a connection is reused, and each request waits for the one before", async () => {
    const server = await serverOf(reply("204 No Content"));
    for (let count = 1; count <= 5; count += 1) {
      expect((await attempt(urlOf(server))).statusCode).toBe(204);
      expect(server.requests).toHaveLength(count);
    }
    expect(server.connections()).toBe(1);
  });

  test("a server that closes after each answer is connected to anew", async () => {
    const server = await serverOf(replyAndEnd("200 OK\r\nconnection: close", "bye"));
    for (let count = 1; count <= 3; count += 1) {
      const result = await attempt(urlOf(server));
      expect([result.errorCode, result.responseBody.toString()]).toEqual([null, "bye"]);
      await server.allClosed();
      expect(server.connections()).toBe(count);
    }
  });

  test("a connection that died while idle does not fail the next attempt", async () => {
    const server = await serverOf({
      onRequest: (socket) => {
        // Promises to keep the connection and closes it all the same.
        socket.end("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n");
      },
    });
    expect((await attempt(urlOf(server))).errorCode).toBeNull();
    await server.allClosed();
    expect((await attempt(urlOf(server))).errorCode).toBeNull();
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    [301, "The destination answered with status 301. Redirects are not followed."],
    [302, "The destination answered with status 302. Redirects are not followed."],
    [307, "The destination answered with status 307. Redirects are not followed."],
    [308, "The destination answered with status 308. Redirects are not followed."],
    [404, "The destination answered with status 404."],
    [410, "The destination answered with status 410."],
    [500, "The destination answered with status 500."],
    [999, "The destination answered with status 999."],
  ])("status %i is http_status, and nobody goes where it points", async (status, message) => {
    const elsewhere = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const server = await serverOf(reply(`${status} X\r\nlocation: ${urlOf(elsewhere)}\r\ncontent-length: 2`, "no"));
    const result = await attempt(urlOf(server));
    expect([result.errorCode, result.errorMessage, result.statusCode]).toEqual(["http_status", message, status]);
    expect(result.responseBody.toString()).toBe("no");
    expect(elsewhere.connections()).toBe(0);
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ["429 X\r\nretry-after: 120", 120_000],
    ["503 X\r\nRetry-After: Mon, 23 Nov 2026 12:00:30 GMT", 30_000],
    ["503 X\r\nretry-after: soon", null],
    ["503 X", null],
    ["500 X\r\nretry-after: 120", null],
    ["200 X\r\nretry-after: 120", null],
    [`429 X\r\nx-pad: ${"p".repeat(12_000)}\r\nretry-after: 7`, 7_000],
  ])("Retry-After of %.40j", async (head, retryAfterMs) => {
    const server = await serverOf(reply(`${head}\r\ncontent-length: 0`));
    expect((await attempt(urlOf(server))).retryAfterMs).toBe(retryAfterMs);
  });

  test("a few interim responses are passed over", async () => {
    const server = await serverOf(
      reply(`103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0`),
    );
    const result = await attempt(urlOf(server));
    expect([result.errorCode, result.statusCode]).toEqual([null, 200]);
    expect(result.responseHeaders).toEqual([["content-length", "0"]]);
  });

  test("response headers are kept up to their bound", async () => {
    const server = await serverOf(reply(`200 OK\r\na: 1\r\nb: ${"x".repeat(100)}\r\nc: 3\r\ncontent-length: 0`));
    const result = await attempt(urlOf(server), { responseHeaderBytesMax: 50 });
    expect([result.errorCode, result.responseHeaders]).toEqual([null, [["a", "1"]]]);
  });
});

describe("response bodies", () => {
  test("one exactly as long as the bound is whole", async () => {
    const server = await serverOf(reply(`200 OK\r\ncontent-length: ${BODY_BYTES_MAX}`, "x".repeat(BODY_BYTES_MAX)));
    const result = await attempt(urlOf(server));
    expect([result.errorCode, result.responseBody.length, result.responseTruncated]).toEqual([null, 16, false]);
    expect(client.stats.open).toBe(1);
  });

  test.each([200, 500])("a longer one on status %i is cut, and the connection closed", async (status) => {
    const server = await serverOf(reply(`${status} X\r\ncontent-length: 17`, "x".repeat(17)));
    const result = await attempt(urlOf(server));
    expect(result.errorCode).toBe(status === 200 ? null : "http_status");
    expect([result.responseBody.length, result.responseTruncated]).toEqual([16, true]);
    expect(client.stats.open).toBe(0);
    await server.allClosed();
  });

  test("one that never ends is cut without waiting for the deadline", async () => {
    const server = await serverOf({
      onRequest: (socket) => {
        socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        const pour = () => {
          while (!socket.destroyed && socket.write(`400\r\n${"x".repeat(1024)}\r\n`));
        };
        socket.on("drain", pour);
        pour();
      },
    });
    const result = await attempt(urlOf(server));
    expect([result.errorCode, result.statusCode, result.responseBody.length]).toEqual([null, 200, 16]);
    await server.allClosed();
  });
});

/** Behaviours that fail an attempt, with the code, the status and what is read of the body. */
const FAILURES: readonly (readonly [string, Behaviour, AttemptErrorCode, number | null, string])[] = [
  ["closes at accept", { onConnection: (socket) => socket.destroy() }, "reset", null, ""],
  ["resets at accept", { onConnection: (socket) => socket.resetAndDestroy() }, "reset", null, ""],
  ["ends its side at accept", { onConnection: (socket) => socket.end() }, "reset", null, ""],
  ["closes after the request", { onRequest: (socket) => socket.destroy() }, "reset", null, ""],
  ["resets after the request", { onRequest: (socket) => socket.resetAndDestroy() }, "reset", null, ""],
  ["closes within the status line", { onRequest: (socket) => socket.end("HTTP/1.1 20") }, "reset", null, ""],
  ["closes within the headers", { onRequest: (socket) => socket.end("HTTP/1.1 200 OK\r\na: b") }, "reset", null, ""],
  ["closes within a counted body", replyAndEnd("200 OK\r\ncontent-length: 9", "half"), "reset", 200, "half"],
  [
    "closes within a counted last body",
    replyAndEnd("200 OK\r\nconnection: close\r\ncontent-length: 9", "half"),
    "reset",
    200,
    "half",
  ],
  [
    "closes within a chunked body",
    replyAndEnd("200 OK\r\ntransfer-encoding: chunked", "4\r\nhalf\r\n"),
    "reset",
    200,
    "half",
  ],
  [
    "closes within a chunked last body",
    replyAndEnd("200 OK\r\nconnection: close\r\ntransfer-encoding: chunked", "4\r\nhalf\r\n"),
    "reset",
    200,
    "half",
  ],
  ["breaks off the body of a failure", replyAndEnd("500 X\r\ncontent-length: 9", "half"), "http_status", 500, "half"],
  ["speaks another protocol", { onRequest: (socket) => socket.write("-ERR unknown\r\n") }, "protocol", null, ""],
  ["greets first like a mail server", { onConnection: (s) => s.write("220 mail ready\r\n") }, "protocol", null, ""],
  [
    "answers in HTTP/2",
    { onRequest: (s) => s.write(Buffer.from("00000604000000000000", "hex")) },
    "protocol",
    null,
    "",
  ],
  ["has a bad chunk size", reply("200 OK\r\ntransfer-encoding: chunked", "zz\r\n"), "protocol", 200, ""],
  [
    "has both framings",
    reply("200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
    "protocol",
    null,
    "",
  ],
  ["has two lengths", reply("200 OK\r\ncontent-length: 1\r\ncontent-length: 2", "ab"), "protocol", null, ""],
  ["has a header over the bound", reply(`200 OK\r\na: ${"x".repeat(20_000)}`), "protocol", null, ""],
  ["has too many headers", reply(`200 OK\r\n${"a: bbbbbbbb\r\n".repeat(3_000)}b: c`), "protocol", null, ""],
  [
    "sends 100 Continue unasked",
    reply("100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0"),
    "protocol",
    null,
    "",
  ],
  ["switches protocols", reply("101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade"), "protocol", null, ""],
  [
    "storms with interim responses",
    {
      onRequest: (socket) => {
        const storm = () => {
          while (!socket.destroyed && socket.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(64)));
        };
        socket.on("drain", storm);
        storm();
      },
    },
    "protocol",
    null,
    "",
  ],
];

describe("misbehaving servers", () => {
  test.each(FAILURES)("one that %s", async (_what, behaviour, errorCode, statusCode, body) => {
    const server = await serverOf(behaviour);
    const result = await attempt(urlOf(server));
    expect([result.errorCode, result.statusCode, result.responseBody.toString()]).toEqual([
      errorCode,
      statusCode,
      body,
    ]);
    expect(result.errorMessage).toMatch(/^The destination.*\.$/);
    expect(result.responseTruncated).toBe(statusCode !== null);
    expect(client.stats).toEqual({ open: 0, idle: 0, waiting: 0 });
    await server.allClosed();
    expect([server.connections(), server.requests.length <= 1]).toEqual([1, true]);
  });

  test("the bound of interim responses is exact", async () => {
    const interim = "103 Early Hints\r\n\r\nHTTP/1.1 ";
    const server = await serverOf({
      onRequest: (socket, count) => {
        const times = INFORMATIONAL_RESPONSES_MAX + count - 1;
        socket.write(`HTTP/1.1 ${interim.repeat(times)}200 OK\r\ncontent-length: 0\r\n\r\n`);
      },
    });
    expect((await attempt(urlOf(server))).errorCode).toBeNull();
    expect((await attempt(urlOf(server))).errorCode).toBe("protocol");
  });

  test("an answer that follows the answer poisons no later exchange", async () => {
    const server = await serverOf(
      reply("200 OK\r\ncontent-length: 2", "okHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
    );
    for (let count = 0; count < 3; count += 1) {
      const result = await attempt(urlOf(server));
      expect([result.errorCode, result.responseBody.toString()]).toEqual([null, "ok"]);
    }
    expect(server.requests).toHaveLength(3);
  });
});

/** Behaviours that only the deadline ends. */
const HANGS: readonly (readonly [string, Behaviour, AttemptErrorCode, number | null])[] = [
  ["hangs before headers", {}, "timeout", null],
  ["hangs within headers", { onRequest: (s) => s.write("HTTP/1.1 200 OK\r\na: ") }, "timeout", null],
  ["hangs after interim responses", reply("103 Early Hints"), "timeout", null],
  ["hangs within the body", reply("200 OK\r\ncontent-length: 9", "half"), "timeout", 200],
  ["never closes a body without length", reply("200 OK", "half"), "timeout", 200],
  ["hangs within the body of a failure", reply("410 Gone\r\ncontent-length: 9", "half"), "http_status", 410],
];

describe("the deadline", () => {
  test("ends every way of hanging", async () => {
    const hang = async ([what, behaviour]: (typeof HANGS)[number]) => {
      const server = await serverOf(behaviour);
      const result = await attempt(urlOf(server), { timeoutMs: 1_000 });
      await server.allClosed();
      return { what, result };
    };
    const ended = await Promise.all(HANGS.map(hang));
    expect(ended.map(({ what, result }) => [what, result.errorCode, result.statusCode])).toEqual(
      HANGS.map(([what, , errorCode, statusCode]) => [what, errorCode, statusCode]),
    );
    for (const { result } of ended) {
      expect(result.durationMs).toBeGreaterThanOrEqual(990);
      if (result.errorCode !== "timeout") continue;
      expect(result.errorMessage).toBe("The exchange was not complete within 1000 ms.");
    }
    expect(client.stats).toEqual({ open: 0, idle: 0, waiting: 0 });
  });

  test("ends a server that dribbles headers and body", async () => {
    const answer = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    const server = await serverOf({
      onRequest: (socket) => {
        let sent = 0;
        const timer = setInterval(() => {
          socket.write(sent < answer.length ? answer.slice(sent, sent + 8) : "x");
          sent += 8;
        }, 5);
        socket.once("close", () => clearInterval(timer));
      },
    });
    const result = await attempt(urlOf(server), { timeoutMs: 400, responseBodyBytesMax: 1000 });
    expect(result.errorCode).toBe("timeout");
    await server.allClosed();
  });

  test("ends a server that does not read", async () => {
    const paused: Socket[] = [];
    const server = await serverOf({ onConnection: (socket) => paused.push(socket.pause()) });
    const result = await attempt(urlOf(server), { timeoutMs: 300, body: Buffer.alloc(32 * 1024 * 1024) });
    expect([result.errorCode, result.statusCode, server.requests.length]).toEqual(["timeout", null, 0]);
    // Only a server that reads again sees that the connection is gone.
    for (const socket of paused) socket.resume();
    await server.allClosed();
  });

  test("ends a TLS server that says nothing", async () => {
    const server = await serverOf({});
    const result = await attempt(`https://127.0.0.1:${server.port}/`, { timeoutMs: 300 });
    expect([result.errorCode, result.remoteAddress]).toEqual(["timeout", null]);
    expect(client.stats.open).toBe(0);
    await server.allClosed();
  });

  test("ends a resolver that does not answer", async () => {
    const silent = clientOf({ resolver: () => {} });
    const result = await attempt("http://h.example.com/", { timeoutMs: 100 }, silent);
    expect([result.errorCode, result.remoteAddress, silent.stats.open]).toEqual(["timeout", null, 0]);
  });

  test("is one for the whole, not one for each part", async () => {
    const server = await serverOf({
      onRequest: (socket) => {
        const parts = ["HTTP/1.1 200 OK\r\n", "content-length: 3\r\n\r\n", "a", "b", "c"];
        const timer = setInterval(() => socket.write(parts.shift() ?? ""), 150);
        socket.once("close", () => clearInterval(timer));
      },
    });
    expect((await attempt(urlOf(server), { timeoutMs: 400 })).errorCode).toBe("timeout");
  });
});

describe("giving up", () => {
  test("the signal ends an attempt under way and its connection", async () => {
    const server = await serverOf({});
    const controller = new AbortController();
    const pending = attempt(urlOf(server), { signal: controller.signal });
    await server.requested;
    controller.abort();
    const result = await pending;
    expect([result.errorCode, result.statusCode, client.stats.open]).toEqual(["aborted", null, 0]);
    await server.allClosed();
  });

  test("a signal that has already fired starts nothing", async () => {
    const server = await serverOf({});
    const result = await attempt(urlOf(server), { signal: AbortSignal.abort() });
    expect([result.errorCode, client.stats.open, server.connections()]).toEqual(["aborted", 0, 0]);
  });

  test("closing the client ends everything and refuses more", async () => {
    const server = await serverOf({});
    const pending = attempt(urlOf(server));
    await server.requested;
    await client.close();
    expect((await pending).errorCode).toBe("reset");
    expect((await attempt(urlOf(server))).errorCode).toBe("busy");
    expect(server.connections()).toBe(1);
  });
});

describe("connecting", () => {
  test("a closed port is connect", async () => {
    const server = await listen({});
    await server.close();
    const result = await attempt(urlOf(server));
    expect(result).toMatchObject({
      errorCode: "connect",
      errorMessage: "The destination refused the connection.",
      statusCode: null,
      remoteAddress: null,
    });
    expect(client.stats.open).toBe(0);
  });

  test("a name that does not resolve is dns, and its error is not repeated", async () => {
    const resolver: Resolver = (hostname, _options, callback) =>
      callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" }), []);
    const result = await attempt("http://nowhere.example.com/", {}, clientOf({ resolver }));
    expect([result.errorCode, result.errorMessage]).toEqual(["dns", "The destination's host name does not resolve."]);
  });

  test.each([
    ["not a url", "invalid_url", "The destination's URL must be a URL without spaces or control characters."],
    ["ftp://example.com/", "invalid_url", "The destination's URL must be an http or https URL."],
    ["http://10.0.0.1/", "blocked_address", "The destination's URL must have a public address."],
    ["http://[::ffff:127.0.0.1]/", "blocked_address", "The destination's URL must have a public address."],
    [
      "http://x.onion/",
      "blocked_address",
      "The destination's URL must have a public host name, not a local or reserved one.",
    ],
  ])("%s is %s", async (url, errorCode, errorMessage) => {
    const result = await attempt(url);
    expect([result.errorCode, result.errorMessage]).toEqual([errorCode, errorMessage]);
    expect(client.stats.open).toBe(0);
  });

  test.each([[["x-a", "b\r\nc: d"]], [["bad name", "v"]], [["transfer-encoding", "chunked"]]] as const)(
    "the header %j is not sent",
    async (header) => {
      const server = await serverOf(reply("200 OK\r\ncontent-length: 0"));
      const result = await attempt(urlOf(server), { headers: [header] });
      expect([result.errorCode, server.requests]).toEqual(["invalid_request", []]);
      expect(client.stats.open).toBe(0);
    },
  );
});

describe("the guard", () => {
  test("a name that turns private on the second look-up reaches nobody", async () => {
    const inner = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    let lookups = 0;
    const rebinding: Resolver = (_hostname, _options, callback) => {
      lookups += 1;
      callback(null, [{ address: lookups === 1 ? "1.1.1.1" : "127.0.0.1", family: 4 }]);
    };
    const closedPolicy = policyOf();
    const first = await new Promise((resolve) => {
      const lookup = guardedLookup(closedPolicy, inner.port, rebinding);
      lookup("rebinding.example.com", { all: true }, (error, addresses) => resolve(error ?? addresses));
    });
    expect(first).toEqual([{ address: "1.1.1.1", family: 4 }]);
    const guarded = clientOf({ policy: closedPolicy, resolver: rebinding });
    const second = await attempt(`http://rebinding.example.com:${inner.port}/`, {}, guarded);
    expect(second).toMatchObject({
      errorCode: "blocked_address",
      errorMessage: "The destination has an address that deliveries may not reach.",
      remoteAddress: null,
    });
    expect([lookups, inner.connections(), guarded.stats.open]).toEqual([2, 0, 0]);
  });

  test("a public address beside a private one does not open it", async () => {
    const inner = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const resolver: Resolver = (_hostname, _options, callback) =>
      callback(null, [
        { address: "127.0.0.1", family: 4 },
        { address: "1.1.1.1", family: 4 },
      ]);
    for (const scheme of ["http", "https"]) {
      const guarded = clientOf({ policy: policyOf(), resolver });
      const result = await attempt(`${scheme}://mixed.example.com:${inner.port}/`, {}, guarded);
      expect(result.errorCode).toBe("blocked_address");
    }
    expect(inner.connections()).toBe(0);
  });

  test("one exchange resolves once, and connects to what was resolved", async () => {
    const server = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const asked: string[] = [];
    const resolver: Resolver = (hostname, _options, callback) => {
      asked.push(hostname);
      callback(null, [{ address: "127.0.0.1", family: 4 }]);
    };
    const counting = clientOf({ resolver });
    const result = await attempt(`http://h.example.com:${server.port}/`, {}, counting);
    expect([result.errorCode, result.remoteAddress, asked]).toEqual([null, "127.0.0.1", ["h.example.com"]]);
    expect(server.requests[0]).toContain(`host: h.example.com:${server.port}\r\n`);
  });

  test("our own listener is refused although loopback is opened", async () => {
    const own = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const resolver: Resolver = (_hostname, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]);
    const policy = policyOf(["127.0.0.0/8"], [{ address: "0.0.0.0", port: own.port }]);
    const guarded = clientOf({ policy, resolver });
    for (const host of ["127.0.0.1", "127.0.0.2", "2130706433", "localhost", "own.example.com"]) {
      const result = await attempt(`http://${host}:${own.port}/`, {}, guarded);
      expect([host, result.errorCode]).toEqual([host, "blocked_address"]);
    }
    expect(own.connections()).toBe(0);
  });

  test("an endpoint that becomes forbidden after the URL check is refused on connecting", async () => {
    const server = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    let asked = 0;
    const policy = {
      ...policyOf(["127.0.0.0/8"]),
      forbiddenEndpoints: () => (++asked === 1 ? [] : [{ address: "127.0.0.1", port: server.port }]),
    };
    const result = await attempt(urlOf(server), {}, clientOf({ policy }));
    expect([result.errorCode, server.connections()]).toEqual(["blocked_address", 0]);
  });

  test("proxy variables are ignored", async () => {
    const proxy = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const server = await serverOf(reply("204 No Content"));
    const names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    const before = { ...process.env };
    for (const name of names) process.env[name] = urlOf(proxy, "");
    process.env.NODE_USE_ENV_PROXY = "1";
    try {
      expect((await attempt(urlOf(server), {}, clientOf())).statusCode).toBe(204);
    } finally {
      for (const name of [...names, "NODE_USE_ENV_PROXY"]) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
    expect(proxy.connections()).toBe(0);
  });
});

describe("TLS", () => {
  const ok = reply("200 OK\r\ncontent-length: 2", "ok");

  test("a trusted certificate for the name is accepted, and the connection kept", async () => {
    const server = await serverOf(ok, { tls: {} });
    const trusting = clientOf({ certificateAuthorities: localhostCertificate });
    for (let count = 1; count <= 2; count += 1) {
      const result = await attempt(`https://localhost:${server.port}/`, {}, trusting);
      expect([result.errorCode, result.statusCode, result.remoteAddress]).toEqual([null, 200, "127.0.0.1"]);
    }
    expect(server.connections()).toBe(1);
  });

  test("a self-signed certificate is refused, and nothing is sent", async () => {
    const server = await serverOf(ok, { tls: {} });
    const result = await attempt(`https://localhost:${server.port}/`);
    expect([result.errorCode, result.errorMessage]).toEqual(["tls", "The destination's certificate is self-signed."]);
    expect(server.requests).toEqual([]);
    expect(client.stats.open).toBe(0);
  });

  test.each(["127.0.0.1", "other.example.com"])("a certificate for another name than %s is refused", async (host) => {
    const server = await serverOf(ok, { tls: {} });
    const resolver: Resolver = (_hostname, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]);
    const trusting = clientOf({ certificateAuthorities: localhostCertificate, resolver });
    const result = await attempt(`https://${host}:${server.port}/`, {}, trusting);
    expect([result.errorCode, result.errorMessage]).toEqual([
      "tls",
      "The destination's certificate is for another host name.",
    ]);
    expect(server.requests).toEqual([]);
  });

  test.each([
    ["speaks plain HTTP", { onConnection: (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n") }],
    ["closes at accept", { onConnection: (socket) => socket.destroy() }],
  ] satisfies [string, Behaviour][])("a server that %s on https is tls", async (_what, behaviour) => {
    const server = await serverOf(behaviour);
    const result = await attempt(`https://127.0.0.1:${server.port}/`);
    expect([result.errorCode, result.statusCode, client.stats.open]).toEqual(["tls", null, 0]);
  });
});

describe("bounds of the client", () => {
  /** A server that answers a request only when told to. */
  async function heldServer() {
    const answers: (() => void)[] = [];
    const arrivals: (() => void)[] = [];
    const server = await serverOf({
      onRequest: (socket) => {
        answers.push(() => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        arrivals.shift()?.();
      },
    });
    const arrival = () => new Promise<void>((resolve) => arrivals.push(resolve));
    return { server, answers, arrival };
  }

  test("attempts past the bound of an origin wait their turn and reuse its connection", async () => {
    const { server, answers, arrival } = await heldServer();
    const narrow = clientOf({ limits: { connectionsPerOriginMax: 1 } });
    const arrived = arrival();
    const pending = ["/1", "/2", "/3"].map((path) => attempt(urlOf(server, path), {}, narrow));
    await arrived;
    expect(narrow.stats).toEqual({ open: 1, idle: 0, waiting: 2 });
    for (let index = 0; index < 3; index += 1) {
      const next = index < 2 ? arrival() : Promise.resolve();
      answers[index]?.();
      await next;
    }
    expect((await Promise.all(pending)).map((result) => result.statusCode)).toEqual([200, 200, 200]);
    expect(server.requests.map((request) => request.slice(0, 7))).toEqual(["POST /1", "POST /2", "POST /3"]);
    expect(server.connections()).toBe(1);
  });

  test("waiting past the deadline, or in a full queue, is busy, and sends nothing", async () => {
    const { server, arrival } = await heldServer();
    const narrow = clientOf({ limits: { connectionsPerOriginMax: 1, waitersMax: 1 } });
    const arrived = arrival();
    const controller = new AbortController();
    const held = attempt(urlOf(server), { signal: controller.signal }, narrow);
    await arrived;
    const waiting = attempt(urlOf(server), { timeoutMs: 100 }, narrow);
    const refused = await attempt(urlOf(server), {}, narrow);
    expect([refused.errorCode, (await waiting).errorCode]).toEqual(["busy", "busy"]);
    controller.abort();
    await held;
    expect([server.requests.length, narrow.stats]).toEqual([1, { open: 0, idle: 0, waiting: 0 }]);
  });

  test("an idle connection of another origin makes room", async () => {
    const [first, second] = [await serverOf(reply("204 X")), await serverOf(reply("204 X"))];
    const narrow = clientOf({ limits: { connectionsMax: 1 } });
    expect((await attempt(urlOf(first), {}, narrow)).statusCode).toBe(204);
    expect((await attempt(urlOf(second), {}, narrow)).statusCode).toBe(204);
    await first.allClosed();
    expect(narrow.stats).toEqual({ open: 1, idle: 1, waiting: 0 });
  });

  test("a failed attempt frees its place for one that waits", async () => {
    const { server, answers, arrival } = await heldServer();
    const other = await serverOf(reply("204 X"));
    const narrow = clientOf({ limits: { connectionsMax: 1 } });
    const arrived = arrival();
    const hanging = attempt(urlOf(server), { timeoutMs: 1_000 }, narrow);
    await arrived;
    const waiting = await attempt(urlOf(other), {}, narrow);
    expect([(await hanging).errorCode, waiting.statusCode, answers.length]).toEqual(["timeout", 204, 1]);
  });

  test("idle connections are closed after their time", async () => {
    const server = await serverOf(reply("204 X"));
    const brief = clientOf({ limits: { keepAliveMs: 50 } });
    await attempt(urlOf(server), {}, brief);
    await server.allClosed();
    expect((await attempt(urlOf(server), {}, brief)).statusCode).toBe(204);
    expect(server.connections()).toBe(2);
  });
});

test("the counting server sees connections, so that counts of none mean something", async () => {
  const server = await serverOf({});
  const socket = connect(server.port, "127.0.0.1");
  await server.connected;
  expect(server.connections()).toBe(1);
  socket.destroy();
  await server.allClosed();
});
