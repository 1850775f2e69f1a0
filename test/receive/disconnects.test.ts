/** Senders that go away: half a request is never an event, and a whole one is, whether or not its sender hears of it. */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, sendHub } from "./senders.ts";

const BODY = Buffer.alloc(1_048_576, "a");

let service: TestService;
let webhook: CreatedWebhook;

beforeAll(async () => {
  service = await startService({ env: { MAX_PAYLOAD_BYTES: String(BODY.length) } });
});
afterAll(async () => {
  await service?.stop();
});

/** Writes the head and the first `bytes` of the body. */
async function begin(bytes: number, body = BODY): Promise<Socket> {
  const socket = connect(service.port, "127.0.0.1");
  socket.on("error", () => {});
  const { "x-hub-signature-256": signature } = hubSignature(webhook.secret, body);
  const head = [
    `POST ${new URL(webhook.receiveUrl).pathname} HTTP/1.1`,
    "Host: localhost",
    `X-Hub-Signature-256: ${signature}`,
    `Content-Length: ${body.length}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  await new Promise((resolve) => socket.write(body.subarray(0, bytes), resolve));
  return socket;
}

test("gone in the middle of the body: no event, and full-size bodies are taken as before", async () => {
  webhook = await createWebhook(service.api);
  for (let n = 0; n < 10; n++) {
    const sockets = await Promise.all([begin(0), begin(1), begin(BODY.length / 2), begin(BODY.length - 1)]);
    for (const socket of sockets) n % 2 ? socket.resetAndDestroy() : socket.destroy();
  }
  for (let n = 0; n < 3; n++) await sendHub(webhook, new Uint8Array(BODY));
  expect(await eventsOf(service.api, webhook)).toHaveLength(3);
});

test("half-closed in the middle of the body: no event", async () => {
  webhook = await createWebhook(service.api);
  const socket = await begin(10);
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.end();
  socket.resume();
  await ended;
  await sendHub(webhook, "{}");
  expect(await eventsOf(service.api, webhook)).toHaveLength(1);
});

test("gone right after the last byte: the event is recorded all the same", async () => {
  webhook = await createWebhook(service.api);
  const body = Buffer.from('{"n":1}');
  const socket = await begin(body.length, body);
  socket.end();
  await eventually("recorded", async () => (await eventsOf(service.api, webhook)).length === 1);
});
