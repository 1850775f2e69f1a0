/** HTTP/1.1 and cleartext HTTP/2 on one port, told apart by their first bytes. */
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import { Listener } from "../../src/edge/listener.ts";
import { startService, type TestService } from "../support/service.ts";
import { exchange, open, statusOf } from "./wire.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** An empty SETTINGS frame, with which either side begins (RFC 9113 §3.4), and its acknowledgement. */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const SETTINGS_ACK = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);
const HTTP1_GET = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

async function getOver(session: ClientHttp2Session, path: string): Promise<readonly [unknown, string]> {
  const stream = session.request({ ":path": path, authorization: `Bearer ${service.key}` });
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  return [headers[":status"], await text(stream)];
}

/** Lets the service see what has been sent: it answers a request that came later. */
const settle = async () => expect((await fetch(`${service.url}/healthz`)).status).toBe(200);

/** Sends piece by piece, each of which the service reads by itself. */
async function dribble(socket: Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    await settle();
  }
}

/** Reads until the bytes have come; rejects if the connection ends before. */
async function readUntil(socket: Socket, wanted: Buffer): Promise<void> {
  let seen = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    seen = Buffer.concat([seen, chunk as Buffer]);
    if (seen.includes(wanted)) return;
  }
  throw new Error(`ended after ${seen.toString("hex")}`);
}

test("both versions, many at a time", async () => {
  const session = connect(service.url);
  const over2 = Array.from({ length: 20 }, () => getOver(session, "/api/v1/webhooks"));
  const over1 = Array.from({ length: 20 }, () => service.api.get("/webhooks"));
  const [answers2, answers1] = await Promise.all([Promise.all(over2), Promise.all(over1)]);
  expect(new Set(answers2.map(([status, body]) => `${status} ${body}`))).toEqual(
    new Set(answers1.map(({ status, body }) => `${status} ${JSON.stringify(body)}`)),
  );
  expect(session.remoteSettings.maxConcurrentStreams).toBe(LIMITS.http2StreamsMax);
  session.close();
});

test("a preface that comes byte by byte begins HTTP/2", async () => {
  const socket = await open(service.port);
  const acknowledged = readUntil(socket, SETTINGS_ACK);
  await dribble(socket, Buffer.from(PREFACE));
  socket.write(SETTINGS);
  await acknowledged;
  socket.destroy();
});

test("a request of HTTP/1.1 that comes byte by byte is answered", async () => {
  const socket = await open(service.port);
  const answer = text(socket);
  await dribble(socket, Buffer.from(HTTP1_GET));
  expect(statusOf(await answer)).toBe(200);
});

test.each(["P", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"])(
  "what begins as the preface and goes on otherwise is HTTP/1.1: %j",
  async (start) => {
    const socket = await open(service.port);
    const answer = text(socket);
    await new Promise((resolve) => socket.write(start, resolve));
    await settle();
    socket.write("OST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(statusOf(await answer)).toBe(start === "P" ? 404 : 400);
  },
);

test("what follows the preface in the same piece is not lost", async () => {
  const socket = await open(service.port);
  const acknowledged = readUntil(socket, SETTINGS_ACK);
  socket.write(Buffer.concat([Buffer.from(PREFACE), SETTINGS]));
  await acknowledged;
  socket.destroy();
});

test("a gRPC client that keeps its channel alive by PING, without a call, is not sent away", async () => {
  const session = connect(service.url);
  await once(session, "remoteSettings");
  const goaway = new Promise<string>((resolve) => session.once("goaway", () => resolve("sent away")));
  const ping = () =>
    new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
  // As many as a client sends that measures its bandwidth: one for each answer, and no pause.
  const pings = async () => {
    for (let sent = 0; sent < LIMITS.http2PingBurst / 2; sent += 1) await ping();
    return "kept";
  };
  expect(await Promise.race([pings(), goaway])).toBe("kept");
  expect((await getOver(session, "/api/v1/webhooks"))[0]).toBe(200);
  session.close();
});

test("pipelined requests of HTTP/1.1 are answered in order", async () => {
  const first = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n";
  const answers = await exchange(service.port, `${first}${HTTP1_GET}`);
  expect(answers.match(/HTTP\/1\.1 \d{3}/g)).toEqual(["HTTP/1.1 404", "HTTP/1.1 200"]);
});

test.each([
  ["says nothing", ""],
  ["says half a preface", PREFACE.slice(0, 12)],
])("a connection that %s is closed without an answer", async (_what, bytes) => {
  const listener = new Listener(
    () => expect.unreachable(),
    { ...LIMITS, prefaceTimeoutMs: 50 },
    () => expect.unreachable(),
  );
  const port = await listener.listen("127.0.0.1", 0);
  const before = performance.now();
  expect(await exchange(port, bytes)).toBe("");
  // Not at once: a slow client has its time. Timers may fire a little early.
  expect(performance.now() - before).toBeGreaterThan(40);
  await listener.close(0);
});
