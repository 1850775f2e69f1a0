/** Text that PostgreSQL cannot hold (NUL, lone surrogates): it never fails another sender's event. */
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import {
  type CreatedWebhook,
  createWebhook,
  eventsOf,
  githubHeaders,
  readEvent,
  sendHub,
  stripeHeaders,
} from "./senders.ts";

let service: TestService;
let webhook: CreatedWebhook;

beforeAll(async () => {
  service = await startService();
  webhook = await createWebhook(service.api);
});
afterAll(async () => {
  await service?.stop();
});

/** Receives over RPC, where a content type may hold what no HTTP header can. */
async function receiveOverRpc(contentType: string): Promise<string> {
  const client = createClient(ReceiveService, createConnectTransport({ baseUrl: service.url, useBinaryFormat: true }));
  const body = { contentType, data: Buffer.from("{}") };
  const headers = hubSignature(webhook.secret, "{}");
  try {
    return (await client.receive({ webhookId: webhook.id, body }, { headers })).eventId;
  } catch (error) {
    return (error as Error).message;
  }
}

test("a NUL in the content type is refused, and its neighbours in the batch are recorded", async () => {
  const before = (await eventsOf(service.api, webhook)).length;
  const [bad, ...good] = await Promise.all([
    receiveOverRpc("text/plain\0"),
    receiveOverRpc("text/plain"),
    ...Array.from({ length: 30 }, (_, n) => sendHub(webhook, JSON.stringify({ n }))),
    receiveOverRpc("text/html"),
  ]);
  expect(bad).toBe("[invalid_argument] contentType: must not contain NUL (U+0000)");
  expect(new Set(good).size).toBe(32);
  expect(await eventsOf(service.api, webhook)).toHaveLength(before + 32);
});

const types: [name: string, body: string][] = [
  ["a NUL", '{"type":"a\\u0000b"}'],
  ["a lone surrogate", '{"type":"\\ud800"}'],
  ["a line break", '{"type":"a\\nb"}'],
  ["an object", '{"type":{"a":1}}'],
  ["too long", JSON.stringify({ type: "x".repeat(201) })],
];

test.each(types)("a type that cannot be one is none: %s", async (_name, body) => {
  const eventId = await sendHub(webhook, body);
  expect(await readEvent(service.api, eventId)).toMatchObject({ type: null, payload: body, status: "received" });
});

test.each([
  ["a NUL", '"evt\\u0000"'],
  ["a lone surrogate", '"\\udfff"'],
  ["too long", JSON.stringify("x".repeat(201))],
  ["empty", '""'],
])("an id that cannot be one is none, and makes no repeats: %s", async (_name, id) => {
  const stripe = await createWebhook(service.api, { source: "stripe" });
  const body = `{"id":${id},"type":"a"}`;
  for (let n = 0; n < 2; n++) {
    const answer = await send(stripe.receiveUrl, body, stripeHeaders(stripe.secret, body));
    expect(answer).toMatchObject({ status: 200, body: { duplicate: false } });
    expect(await readEvent(service.api, answer.body.eventId)).toMatchObject({ sourceEventId: null, type: "a" });
  }
});

test("header values beyond ASCII stay what they are", async () => {
  const github = await createWebhook(service.api, { source: "github" });
  const headers = await githubHeaders(github.secret, "{}", { event: "caf\u00e9", delivery: "\u0085" });
  const answer = await send(github.receiveUrl, "{}", headers);
  const event = await readEvent(service.api, answer.body.eventId);
  expect(event).toMatchObject({ type: "caf\u00e9", sourceEventId: null });
  expect(event.headers["x-github-event"]).toBe("caf\u00e9");
});
