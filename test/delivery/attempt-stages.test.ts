/** A destination fails at each stage of an exchange: the error code says at which, within the deadline. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import type { Resolver } from "../../src/security/ssrf.ts";
import { policyOf } from "../security/destination-policies.ts";
import { attempt, clientOf, serverOf, urlOf } from "./attempt-scene.ts";
import { type Behaviour, expiredCertificate, expiredKey, localhostCertificate } from "./misbehaving-servers.ts";

const reset = (socket: Socket) => socket.resetAndDestroy();
/** Sends something and resets the connection once it is on its way. */
const sendAndReset = (text: string) => (socket: Socket) => socket.write(text, () => reset(socket));
const LARGE = Buffer.alloc(32 * 1024 * 1024);

describe("resets", () => {
  test.each<{ stage: string; behaviour: Behaviour; status: number | null; body?: Buffer }>([
    { stage: "at accept", behaviour: { onConnection: reset }, status: null },
    {
      stage: "within the request",
      behaviour: { onConnection: (socket) => socket.once("data", () => reset(socket)) },
      status: null,
      body: LARGE,
    },
    { stage: "after the request", behaviour: { onRequest: reset }, status: null },
    { stage: "within the status line", behaviour: { onRequest: sendAndReset("HTTP/1.1 2") }, status: null },
    {
      stage: "within the headers",
      behaviour: { onRequest: sendAndReset("HTTP/1.1 200 OK\r\na: b\r\nc") },
      status: null,
    },
    {
      stage: "after an interim response",
      behaviour: { onRequest: sendAndReset("HTTP/1.1 103 Early Hints\r\n\r\n") },
      status: null,
    },
    {
      stage: "within the body",
      behaviour: { onRequest: sendAndReset("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf") },
      status: 200,
    },
  ])("$stage", async ({ behaviour, status, body }) => {
    const client = clientOf();
    const server = await serverOf(behaviour);
    const result = await attempt(client, urlOf(server), body ? { body } : {});
    expect([result.errorCode, result.statusCode]).toEqual(["reset", status]);
    expect(client.stats).toEqual({ open: 0, idle: 0, waiting: 0 });
    await server.allClosed();
  });
});

describe("answers without an end", () => {
  /** Writes for as long as the connection takes it. */
  const pour = (head: string, piece: string): Behaviour => ({
    onRequest: (socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write(piece.repeat(256)));
      };
      socket.on("drain", more);
      socket.write(head);
      more();
    },
  });
  /** One byte at a time. */
  const dribble = (text: string): Behaviour => ({
    onRequest: (socket) => {
      let sent = 0;
      const timer = setInterval(() => socket.write(text[sent++ % text.length] ?? ""), 20);
      socket.once("close", () => clearInterval(timer));
    },
  });

  test.each([
    ["headers that pour", pour("HTTP/1.1 200 OK\r\n", "a: b\r\n"), "protocol", null],
    ["one header that pours", pour("HTTP/1.1 200 OK\r\na: ", "bbbbbbbb"), "protocol", null],
    ["a status line that pours", pour("HTTP/1.1 200 ", "OKOKOKOK"), "protocol", null],
    ["interim responses that pour", pour("", "HTTP/1.1 102 Processing\r\n\r\n"), "protocol", null],
    ["a body that pours", pour("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx"), null, 200],
    [
      "chunk extensions that pour",
      pour("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "x"),
      "protocol",
      200,
    ],
    ["a head that dribbles", dribble("HTTP/1.1 200 OK\r\na: b\r\nc: d\r\n"), "timeout", null],
  ] as const)("%s", async (_what, behaviour, errorCode, statusCode) => {
    const client = clientOf();
    const server = await serverOf(behaviour);
    const timeoutMs = errorCode === "timeout" ? 500 : 10_000;
    const result = await attempt(client, urlOf(server), { timeoutMs });
    expect([result.errorCode, result.statusCode]).toEqual([errorCode, statusCode]);
    expect(client.stats).toEqual({ open: 0, idle: 0, waiting: 0 });
    await server.allClosed();
  });
});

describe("TLS", () => {
  const answers: Behaviour = { onRequest: (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") };
  const expired = { cert: expiredCertificate, key: expiredKey };

  test.each([
    ["an expired certificate", { tls: expired }, expiredCertificate, "The destination's certificate has expired."],
    ["an unknown authority", { tls: {} }, expiredCertificate, "The destination's certificate is self-signed."],
    [
      "an older protocol",
      { tls: { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } },
      localhostCertificate,
      "The TLS handshake with the destination failed.",
    ],
    [
      "no cipher in common",
      { tls: { maxVersion: "TLSv1.2", ciphers: "AES128-SHA" } },
      localhostCertificate,
      "The TLS handshake with the destination failed.",
    ],
  ] as const)("%s is tls, and nothing is sent", async (_what, options, certificateAuthorities, message) => {
    const client = clientOf({ certificateAuthorities });
    const server = await serverOf(answers, options);
    const result = await attempt(client, `https://localhost:${server.port}/`);
    expect([result.errorCode, result.errorMessage, result.statusCode]).toEqual(["tls", message, null]);
    expect([server.requests, client.stats.open]).toEqual([[], 0]);
    await server.allClosed();
  });

  test.each<[string, Behaviour, "tls" | "timeout"]>([
    ["resets within the handshake", { onConnection: (socket) => socket.once("data", () => reset(socket)) }, "tls"],
    ["ends within the handshake", { onConnection: (socket) => socket.once("data", () => socket.end()) }, "tls"],
    ["refuses with an alert", { onConnection: (socket) => socket.end(Buffer.from("15030300020228", "hex")) }, "tls"],
    ["hangs within the handshake", { onConnection: (s) => s.write(Buffer.from("160303", "hex")) }, "timeout"],
  ])("a server that %s", async (_what, behaviour, errorCode) => {
    const client = clientOf();
    const server = await serverOf(behaviour);
    const timeoutMs = errorCode === "timeout" ? 500 : 10_000;
    const result = await attempt(client, `https://localhost:${server.port}/`, { timeoutMs });
    expect([result.errorCode, result.statusCode, client.stats.open]).toEqual([errorCode, null, 0]);
    await server.allClosed();
  });

  test("a reset within the response is reset, with its status", async () => {
    const client = clientOf({ certificateAuthorities: localhostCertificate });
    const half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    const server = await serverOf({ onRequest: (socket) => socket.write(half, () => socket.destroy()) }, { tls: {} });
    const result = await attempt(client, `https://localhost:${server.port}/`);
    expect([result.errorCode, result.statusCode, client.stats.open]).toEqual(["reset", 200, 0]);
  });
});

describe("names", () => {
  const failing =
    (code: string): Resolver =>
    (hostname, _options, callback) =>
      callback(Object.assign(new Error(`getaddrinfo ${code} ${hostname}`), { code }), []);
  const answering =
    (...addresses: string[]): Resolver =>
    (_hostname, _options, callback) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      );

  test.each<[string, Resolver, "dns" | "timeout" | "blocked_address"]>([
    ["does not exist (NXDOMAIN)", failing("ENOTFOUND"), "dns"],
    ["has no address (NODATA)", failing("ENODATA"), "dns"],
    ["whose servers fail (SERVFAIL)", failing("EAI_AGAIN"), "dns"],
    ["that cannot be asked for", failing("EAI_FAIL"), "dns"],
    ["with an empty answer", answering(), "dns"],
    ["that nobody answers for", () => {}, "timeout"],
    ["with private addresses only", answering("10.0.0.1", "fd00::1", "169.254.169.254"), "blocked_address"],
    ["with one private address", answering("1.1.1.1", "192.168.1.1"), "blocked_address"],
  ])("one %s", async (_what, resolver, errorCode) => {
    const client = clientOf({ policy: policyOf(), resolver });
    const result = await attempt(client, "http://name.example.com/", { timeoutMs: 500 });
    expect([result.errorCode, result.remoteAddress, result.statusCode]).toEqual([errorCode, null, null]);
    expect(client.stats).toEqual({ open: 0, idle: 0, waiting: 0 });
  });
});

test.skipIf(process.platform !== "linux")("a server that accepts nobody is timeout", async () => {
  const program =
    'require("net").createServer().listen({ host: "127.0.0.1", port: 0, backlog: 1 }, function () {' +
    " console.log(this.address().port) })";
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const fillers: Socket[] = [];
  try {
    const [line] = await once(child.stdout, "data");
    const port = Number(line);
    child.kill("SIGSTOP");
    // As many as wait to be accepted, and more; those that find no place do not connect.
    const connected = Array.from({ length: 8 }, () => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      fillers.push(socket);
      return once(socket, "connect");
    });
    await Promise.all(connected.slice(0, 2));
    const client = clientOf();
    const result = await attempt(client, `http://127.0.0.1:${port}/`, { timeoutMs: 700 });
    expect([result.errorCode, result.statusCode, client.stats.open]).toEqual(["timeout", null, 0]);
  } finally {
    for (const socket of fillers) socket.destroy();
    child.kill("SIGKILL");
  }
});
