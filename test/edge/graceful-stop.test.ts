/** Stopping the whole service while clients are connected: what is under way ends, nothing new begins. */
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect } from "node:http2";
import { text } from "node:stream/consumers";
import { Client } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { hubSignature } from "../support/api.ts";
import { startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { rememberErrors } from "../support/log.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { startService, type TestService } from "../support/service.ts";
import { open, statusOf } from "./wire.ts";

/** Far longer than a test may take: a stop that waits for it has failed, milliseconds. */
const GRACE_MS = 600_000;

/** A service of the test's own, on a database that outlives its stop. */
async function start(): Promise<TestService> {
  const database = await createTestDatabase();
  onTestFinished(async () => await database.drop());
  const replicaOf = { databaseUrl: database.url } as TestService;
  const service = await startService({ replicaOf, env: { SHUTDOWN_GRACE_MS: String(GRACE_MS) } });
  onTestFinished(async () => await service.stop());
  return service;
}

const PARTS = ['{"type":"late",', '"n":1}'] as const;
const BODY = PARTS.join("");

async function recordedTypes({ databaseUrl }: TestService): Promise<unknown[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ type: string }>("select type from events");
  await client.end();
  return rows.map((row) => row.type);
}

async function refuses(port: number): Promise<unknown> {
  return await open(port).then(
    (socket) => {
      socket.destroy();
      return "accepted";
    },
    (error: NodeJS.ErrnoException) => error.code,
  );
}

test("a receive whose body is still coming is recorded and answered; its connection ends", async () => {
  const service = await start();
  const webhook = (await service.api.post("/webhooks", { name: "w" })).body;
  const { "x-hub-signature-256": signature } = hubSignature(webhook.secret, BODY);
  const socket = await open(service.port);
  onTestFinished(() => void socket.destroy());
  const answer = text(socket);
  const path = new URL(webhook.receiveUrl).pathname;
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: ${signature}\r\nContent-Length: ${BODY.length}\r\n\r\n${PARTS[0]}`,
  );
  // The service has read the head once it answers a request that came after it.
  await service.api.get("/webhooks");
  const stopped = service.app.stop();
  expect(await refuses(service.port)).toBe("ECONNREFUSED");
  socket.write(PARTS[1]);
  expect(statusOf(await answer)).toBe(200);
  await stopped;
  expect(await recordedTypes(service)).toEqual(["late"]);
});

test("an HTTP/2 stream under way ends whole; its session takes no other, and is closed", async () => {
  const service = await start();
  const webhook = (await service.api.post("/webhooks", { name: "w" })).body;
  const session = connect(service.url);
  onTestFinished(() => session.destroy());
  const headers = { ":method": "POST", ":path": new URL(webhook.receiveUrl).pathname };
  const stream = session.request({ ...headers, ...hubSignature(webhook.secret, BODY) });
  stream.write(PARTS[0]);
  await once(session, "remoteSettings");
  // Frames are taken in order: once this is answered, the stream has begun.
  await new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
  const goaway = once(session, "goaway");
  const closed = once(session, "close");
  const stopped = service.app.stop();
  await goaway;
  const [refused] = await once(session.request({ ":path": "/healthz" }), "error");
  expect(refused).toMatchObject({ code: "ERR_HTTP2_GOAWAY_SESSION" });
  expect(await refuses(service.port)).toBe("ECONNREFUSED");
  const response = once(stream, "response");
  stream.end(PARTS[1]);
  expect((await response)[0]).toMatchObject({ ":status": 200 });
  expect(JSON.parse(await text(stream))).toMatchObject({ received: true });
  await Promise.all([closed, stopped]);
  expect(await recordedTypes(service)).toEqual(["late"]);
});

test("idle connections of either version are closed at once", async () => {
  const service = await start();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sent = get({ port: service.port, host: "127.0.0.1", path: "/healthz", agent });
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const { socket } = response;
  await text(response);
  expect(socket.destroyed).toBe(false);
  const session = connect(service.url);
  await once(session, "remoteSettings");
  const silent = await open(service.port);
  await fetch(`${service.url}/healthz`, { headers: { connection: "close" } });
  const closed = Promise.all([once(socket, "close"), once(session, "close"), once(silent, "close")]);
  silent.resume();
  await service.app.stop();
  await closed;
  expect(await refuses(service.port)).toBe("ECONNREFUSED");
  agent.destroy();
});

test("a stop whose grace is over before what is under way cuts it off, and says so", async () => {
  const { logger, errors } = rememberErrors("warn");
  const destination = await startDestination();
  onTestFinished(async () => await destination.close());
  const service = await startService({ env: { SHUTDOWN_GRACE_MS: "100" }, logger });
  onTestFinished(async () => await service.stop());
  destination.behave(() => {});
  const webhook = await createForwardingWebhook(service, destination.url);
  await webhook.sendEvent();
  await destination.arrived(1);
  const socket = await open(service.port);
  const closed = once(socket.resume(), "close");
  socket.write(
    `POST ${new URL(webhook.receiveUrl).pathname} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=${"0".repeat(64)}\r\nContent-Length: 10\r\n\r\n`,
  );
  await eventually("the request has begun", async () => service.app.counts().answers === 1);
  await service.app.stop();
  await closed;
  expect(errors.map((line) => JSON.parse(line))).toMatchObject([{ requests: 1, events: 0, deliveries: 1 }]);
});

test("a stop may be asked for twice", async () => {
  const service = await start();
  const [first, second] = [service.app.stop(), service.app.stop()];
  expect(second).toBe(first);
  await first;
  await service.app.stop();
});
