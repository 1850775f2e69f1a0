/** The port with a certificate: both versions of HTTP by ALPN, stock clients, renewal, and nothing in cleartext. */
import { execFile } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, LIMITS } from "../../src/config.ts";
import { Listener } from "../../src/edge/listener.ts";
import { TlsGate } from "../../src/edge/tls.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { exchange, jsonOf, open, statusOf } from "./wire.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));
const BUF = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));
const run = promisify(execFile);
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LIST_RPC = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
const HTTP1_GET = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

let directory: string;
let ca: string;
let service: TestService;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "alumia-tls-"));
  ca = await readFile(fixture("localhost-cert"), "utf8");
  service = await startService({
    env: { TLS_CERT: fixture("localhost-cert"), TLS_KEY: fixture("localhost-key"), HOST: "localhost" },
    limits: { sweepIntervalMs: 20, prefaceTimeoutMs: 1_000 },
  });
});
afterAll(async () => {
  await service?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** A handshake that has ended; rejects if it was refused. */
async function shake(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ port: service.port, host: "localhost", ca, ...options });
  await once(socket, "secureConnect");
  return socket;
}

async function get(path: string, headers: Record<string, string> = {}): Promise<{ status: unknown; body: string }> {
  const sent = httpsRequest({ port: service.port, host: "localhost", ca, path, headers, agent: false });
  sent.end();
  const [response] = await once(sent, "response");
  return { status: response.statusCode, body: await text(response) };
}

test("its origin, and the receive URLs that it gives out, are https in both versions of HTTP", async () => {
  expect(service.url).toBe(`https://localhost:${service.port}`);
  const headers = { authorization: `Bearer ${service.key}`, "content-type": "application/json" };
  const session = connectHttp2(service.url, { ca });
  const stream = session.request({ ":method": "POST", ":path": "/api/v1/webhooks", ...headers });
  stream.end('{"name":"secure"}');
  const [answered] = await once(stream, "response");
  expect(answered[":status"]).toBe(201);
  expect(JSON.parse(await text(stream)).receiveUrl).toMatch(`${service.url}/api/v1/webhooks/receive/`);
  session.close();
  const { status, body } = await get("/api/v1/webhooks", headers);
  expect([status, JSON.parse(body).items[0].receiveUrl]).toEqual([200, expect.stringMatching(/^https:\/\/localhost:/)]);
});

test.each([
  [["h2", "http/1.1"], "h2"],
  [["http/1.1", "h2"], "h2"],
  [["http/1.1"], "http/1.1"],
])("ALPN of %j agrees on %s", async (ALPNProtocols, agreed) => {
  const socket = await shake({ ALPNProtocols });
  expect(socket.alpnProtocol).toBe(agreed);
  socket.destroy();
});

test("a client that offers only other protocols is refused in the handshake", async () => {
  await expect(shake({ ALPNProtocols: ["spdy/3"] })).rejects.toThrow(/no application protocol/i);
});

test("without ALPN it is HTTP/1.1, or HTTP/2 where the preface comes", async () => {
  const plain = await shake();
  plain.write(HTTP1_GET);
  expect(statusOf(await text(plain))).toBe(200);
  const prior = await shake();
  prior.write(Buffer.concat([Buffer.from(PREFACE), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]));
  const [settings] = (await once(prior, "data")) as [Buffer];
  expect(settings[3]).toBe(4);
  prior.destroy();
});

test("a stock gRPC client is served", async () => {
  const client = new Client(`localhost:${service.port}`, credentials.createSsl(Buffer.from(ca)));
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${service.key}`);
  const bytes = (message: Buffer) => message;
  const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
    const onAnswer = (error: Error | null, message?: Buffer) => (error ? reject(error) : resolve(message));
    client.makeUnaryRequest(LIST_RPC, bytes, bytes, Buffer.alloc(0), metadata, onAnswer);
  });
  expect(answer?.includes("secure")).toBe(true);
  client.close();
});

test.each(["grpc", "grpcweb", "connect"])("buf curl is served over %s", async (protocol) => {
  const { stdout } = await run(BUF, [
    ...["curl", "--schema", "proto", "--protocol", protocol, "--cacert", fixture("localhost-cert")],
    ...["-H", `authorization: Bearer ${service.key}`, "-d", "{}", `${service.url}${LIST_RPC}`],
  ]);
  expect(JSON.parse(stdout).items).toHaveLength(1);
});

test.each([
  ["HTTP/1.1", HTTP1_GET],
  ["HTTP/2", PREFACE],
  ["no HTTP", "hello\r\n\r\n"],
])("%s in cleartext is told so, and never served", async (_what, bytes) => {
  const answer = await exchange(service.port, bytes);
  const message = "this port speaks TLS: use https";
  expect([statusOf(answer), jsonOf(answer)]).toEqual([400, { error: { code: "BAD_REQUEST", message, details: [] } }]);
});

test.each([
  ["TLS 1.1", { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const],
  ["a certificate that nobody vouches for", { ca: undefined } as const],
])("a handshake that fails harms nobody: %s", async (_what, options) => {
  await expect(shake(options)).rejects.toThrow();
  expect((await get("/healthz")).status).toBe(200);
  await eventually("the connection is gone", async () => service.app.counts().connections === 0);
});

test.each([
  ["garbage in a handshake", Buffer.from([0x16, 3, 1, 0, 4, 9, 9, 9, 9])],
  ["a handshake that stops", Buffer.from([0x16, 3, 1, 2, 0, 1])],
])("%s: the connection is closed, when its time is over at the latest", async (_what, bytes) => {
  expect(await exchange(service.port, bytes)).not.toMatch(/HTTP/);
  expect((await get("/healthz")).status).toBe(200);
});

test("a connection that is reset in its handshake harms nobody", async () => {
  const socket = await open(service.port);
  await new Promise((resolve) => socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1]), resolve));
  socket.resetAndDestroy();
  expect((await get("/healthz")).status).toBe(200);
});

test("a renewed certificate is taken without a restart, a broken one is not, and connections live on", async () => {
  const files = { certPath: join(directory, "cert.pem"), keyPath: join(directory, "key.pem") };
  await copyFile(fixture("localhost-cert"), files.certPath);
  await copyFile(fixture("localhost-key"), files.keyPath);
  const seen = new EventEmitter();
  const tls = new TlsGate({
    files,
    reloadIntervalMs: 20,
    onRenewed: () => seen.emit("renewed"),
    onUnusable: (error) => seen.emit("unusable", error),
  });
  const unexpected = (error: Error) => expect.unreachable(String(error));
  const listener = new Listener((_request, response) => void response.end(), LIMITS, unexpected, { tls });
  const port = await listener.listen("localhost", 0);
  const session = connectHttp2(`https://localhost:${port}`, { ca });
  await once(session, "remoteSettings");
  const shownSerial = async () => {
    const socket = await shake({ port, rejectUnauthorized: false });
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const first = await shownSerial();
  const unusable = once(seen, "unusable");
  await writeFile(files.certPath, "broken");
  expect((await unusable)[0]).toMatchObject({ message: expect.stringMatching(/^TLS_CERT /) });
  expect(await shownSerial()).toBe(first);
  const renewed = once(seen, "renewed");
  await copyFile(fixture("renewed-key"), files.keyPath);
  await copyFile(fixture("renewed-cert"), files.certPath);
  await renewed;
  expect(await shownSerial()).not.toBe(first);
  const stream = session.request({ ":path": "/healthz" });
  expect((await once(stream, "response"))[0]).toMatchObject({ ":status": 200 });
  session.close();
  await listener.close(0);
});

test("a stop lets a stream under way end, closes idle connections, and takes no more", async () => {
  const files = { certPath: fixture("localhost-cert"), keyPath: fixture("localhost-key") };
  const tls = new TlsGate({ files, reloadIntervalMs: 1_000, onRenewed: () => {}, onUnusable: () => {} });
  const asked = new EventEmitter();
  const unexpected = (error: Error) => expect.unreachable(String(error));
  const listener = new Listener((_request, response) => asked.emit("asked", response), LIMITS, unexpected, { tls });
  const port = await listener.listen("localhost", 0);
  const idle = await shake({ port, ALPNProtocols: ["h2"] });
  const idleClosed = once(idle.resume(), "close");
  const session = connectHttp2(`https://localhost:${port}`, { ca });
  const stream = session.request({ ":path": "/" });
  const [response] = await once(asked, "asked");
  const goaway = once(session, "goaway");
  const closed = listener.close(600_000);
  expect((await goaway)[0]).toBe(0);
  await idleClosed;
  response.end("whole");
  expect(await text(stream)).toBe("whole");
  await closed;
  await eventually("nothing is open", async () => listener.counts().connections === 0);
  await expect(shake({ port })).rejects.toThrow(/ECONNREFUSED/);
});

describe("files that cannot be used stop the start with one line", () => {
  const paths = (cert: string, key: string) => ({ certPath: fixture(cert), keyPath: fixture(key) });
  test.each<[string, { certPath: string; keyPath: string }, RegExp]>([
    ["no certificate", paths("nothing", "localhost-key"), /^TLS_CERT .*cannot be read \(ENOENT\)$/],
    ["no key", paths("localhost-cert", "nothing"), /^TLS_KEY .*cannot be read \(ENOENT\)$/],
    ["a key as certificate", paths("localhost-key", "localhost-key"), /^TLS_CERT takes the path of a certificate/],
    ["a certificate as key", paths("localhost-cert", "localhost-cert"), /^TLS_KEY takes the path of the private key/],
    [
      "a key of another certificate",
      paths("localhost-cert", "renewed-key"),
      /^TLS_KEY .*renewed-key.* is of another cert/,
    ],
    ["an expired certificate", paths("expired-cert", "renewed-key"), /^TLS_CERT .* expired on Feb {2}1 00:00:00 2020/],
  ])("%s", (_what, files, message) => {
    const act = () => new TlsGate({ files, reloadIntervalMs: 1_000, onRenewed: () => {}, onUnusable: () => {} });
    expect(act).toThrow(ConfigError);
    expect(act).toThrow(message);
  });
});
