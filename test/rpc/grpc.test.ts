/** Every RPC over gRPC, with a stock client that knows nothing but the .proto files. */
import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { linearRequest } from "../receive/linear-senders.ts";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { createGrpcClient, declaredRpcs, type GrpcClient, type Json } from "./grpc-client.ts";
import { SEED_BODY, type Seed, seed } from "./seed.ts";

/** One case for each RPC; a new RPC fails the test below until it has one. */
const CASES: Readonly<Record<string, () => Promise<void>>> = {
  "ApiKeyService/CreateApiKey": createApiKey,
  "ApiKeyService/ListApiKeys": listApiKeys,
  "ApiKeyService/RevokeApiKey": revokeApiKey,
  "BulkJobService/CancelBulkJob": bulkJob,
  "BulkJobService/CreateBulkJob": bulkJob,
  "BulkJobService/GetBulkJob": bulkJob,
  "BulkJobService/ListBulkJobs": bulkJob,
  "BulkJobService/PauseBulkJob": bulkJob,
  "BulkJobService/ResumeBulkJob": bulkJob,
  "DeliveryService/CancelDelivery": cancelDelivery,
  "DeliveryService/GetDelivery": getDelivery,
  "DeliveryService/ListDeliveries": listDeliveries,
  "DeliveryService/ListWebhookDeliveries": listWebhookDeliveries,
  "DeliveryService/RetryDelivery": retryDelivery,
  "EventService/GetEvent": getEvent,
  "EventService/GetEventBody": getEventBody,
  "EventService/ListEvents": listEvents,
  "EventService/ListWebhookEvents": listWebhookEvents,
  "EventService/ReplayEvent": replayEvent,
  "EventService/SendTestEvent": sendTestEvent,
  "ReceiveService/Receive": receive,
  "SourceService/GetSource": getSource,
  "SourceService/ListSources": listSources,
  "ReceiveService/ReceiveLinear": receiveLinear,
  "SecretCaptureService/ConfirmSecretCapture": captureSecret,
  "SecretCaptureService/GetSecretCapture": captureSecret,
  "SecretCaptureService/OpenSecretCapture": captureSecret,
  "TraceService/ListWebhookHandshakes": listWebhookHandshakes,
  "TraceService/ListWebhookRejections": listWebhookRejections,
  "WebhookService/CreateWebhook": createWebhook,
  "WebhookService/DeleteWebhook": deleteWebhook,
  "WebhookService/GetWebhook": getWebhook,
  "WebhookService/ListWebhooks": listWebhooks,
  "WebhookService/RotateWebhookSecret": rotateWebhookSecret,
  "WebhookService/UpdateWebhook": updateWebhook,
  "WebhookService/VerifySignature": verifySignature,
};

let service: TestService;
let destination: Destination;
let client: GrpcClient;
let seeded: Seed;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  client = createGrpcClient(service.port, service.key);
  seeded = await seed(service.api, destination.url);
});
afterAll(async () => {
  client?.close();
  await Promise.all([service?.stop(), destination?.close()]);
});

test("every RPC of the .proto files has a case here", () => {
  expect(Object.keys(CASES).sort()).toEqual(declaredRpcs);
});

test.each(Object.entries(CASES))("%s", async (_rpc, run) => {
  await run();
});

/** Paging fields of a list that ends on this page: nothing is set, so nothing is sent. */
const lastPage = { hasMore: undefined, nextCursor: undefined };

const create = async (fields: object = {}): Promise<Json> =>
  (await client.unary("WebhookService/CreateWebhook", { name: "w", ...fields })).webhook;

async function createWebhook() {
  const before = Math.floor(Date.now() / 1_000) - 1;
  const { webhook } = await client.unary("WebhookService/CreateWebhook", {
    name: "made",
    url: destination.url,
    description: "",
    events: ["a", "b.*"],
    enabled: false,
  });
  expect(webhook).toMatchObject({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    name: "made",
    url: destination.url,
    source: "custom",
    description: "",
    events: ["a", "b.*"],
    status: "paused",
    enabled: false,
    forwarding: { state: "active" },
    receiveUrl: `${service.url}/api/v1/webhooks/receive/${webhook.id}`,
    secret: expect.stringMatching(/^whsec_/),
    forwardSecret: expect.stringMatching(/^whsec_/),
  });
  expect(webhook.createdAt.seconds).toBeGreaterThanOrEqual(before);
  expect(webhook.secret).not.toBe(webhook.forwardSecret);
  expect(webhook).not.toHaveProperty("lastDeliveryAt");
}

async function getWebhook() {
  const { webhook } = await client.unary("WebhookService/GetWebhook", { id: seeded.webhook.id });
  expect(webhook).toMatchObject({ id: seeded.webhook.id, name: "seed", enabled: true, deliveryCount: 1 });
  expect(webhook.lastDeliveryAt.seconds).toBeGreaterThanOrEqual(webhook.createdAt.seconds);
  expect(webhook).not.toHaveProperty("secret");
  expect(webhook).not.toHaveProperty("forwardSecret");
}

async function listWebhooks() {
  const source = `src-${randomBytes(4).toString("hex")}`;
  const older = await create({ source });
  const newer = await create({ source, status: "paused" });
  const first = await client.unary("WebhookService/ListWebhooks", { source, limit: 1 });
  expect(first).toMatchObject({ items: [{ id: newer.id }], hasMore: true, nextCursor: expect.any(String) });
  const second = await client.unary("WebhookService/ListWebhooks", { source, limit: 1, cursor: first.nextCursor });
  expect(second).toMatchObject({ items: [{ id: older.id }] });
  expect({ ...lastPage, ...second }).toMatchObject(lastPage);
  const paused = await client.unary("WebhookService/ListWebhooks", { source, status: "paused" });
  expect(paused.items.map((it: Json) => it.id)).toEqual([newer.id]);
}

async function updateWebhook() {
  const { id } = await create({ description: "kept", events: ["a"] });
  const request = { webhook: { id, name: "renamed" }, updateMask: { paths: ["name", "events"] } };
  const { webhook } = await client.unary("WebhookService/UpdateWebhook", request);
  expect(webhook).toMatchObject({ id, name: "renamed", description: "kept" });
  expect(webhook).not.toHaveProperty("events");
  expect(await client.unary("WebhookService/GetWebhook", { id })).toEqual({ webhook });
}

async function deleteWebhook() {
  const { id } = await create();
  expect(await client.unary("WebhookService/DeleteWebhook", { id })).toEqual({ deleted: true });
  expect((await service.api.get(`/webhooks/${id}`)).status).toBe(404);
}

async function rotateWebhookSecret() {
  const old = await create();
  const { webhook } = await client.unary("WebhookService/RotateWebhookSecret", { id: old.id });
  expect(webhook).toMatchObject({ id: old.id, secret: expect.stringMatching(/^whsec_/) });
  expect(webhook.secret).not.toBe(old.secret);
  expect(webhook).not.toHaveProperty("forwardSecret");
  expect((await send(old.receiveUrl, "{}", hubSignature(old.secret, "{}"))).status).toBe(401);
  expect((await send(old.receiveUrl, "{}", hubSignature(webhook.secret, "{}"))).status).toBe(200);
}

async function verifySignature() {
  const body = Buffer.from([0, 0xff, 0x7b]);
  const headers = hubSignature("s3cret", body);
  const request = { source: "custom", secret: "s3cret", headers, body };
  const good = await client.unary("WebhookService/VerifySignature", request);
  expect(good).toEqual({ valid: true, scheme: expect.any(String) });
  const bad = await client.unary("WebhookService/VerifySignature", { ...request, body: Buffer.from([0]) });
  expect(bad).toMatchObject({ scheme: good.scheme, reason: expect.stringMatching(/./) });
  expect(bad).not.toHaveProperty("valid");
}

async function listWebhookEvents() {
  const page = await client.unary("EventService/ListWebhookEvents", { webhookId: seeded.webhook.id });
  const summary = { id: seeded.eventId, webhookName: "seed", type: "order.paid", status: "received", verified: true };
  expect(page.items).toEqual([expect.objectContaining({ ...summary, size: SEED_BODY.length })]);
  expect({ ...lastPage, ...page }).toMatchObject(lastPage);
}

async function listEvents() {
  const { items } = await client.unary("EventService/ListEvents", { limit: 100 });
  expect(items).toContainEqual(expect.objectContaining({ id: seeded.eventId, webhookName: "seed" }));
  expect(items.every((it: Json) => !("payload" in it) && !("body" in it))).toBe(true);
}

async function getEvent() {
  const { event } = await client.unary("EventService/GetEvent", { id: seeded.eventId });
  expect(event).toMatchObject({
    id: seeded.eventId,
    webhookId: seeded.webhook.id,
    contentType: "application/json",
    payload: SEED_BODY,
    body: Buffer.from(SEED_BODY),
    headers: hubSignature(seeded.webhook.secret, SEED_BODY),
  });
  expect(event).not.toHaveProperty("bodyOmitted");
}

async function getEventBody() {
  const { receiveUrl, secret } = await create();
  const bytes = new Uint8Array(randomBytes(3_500_001));
  const headers = { ...hubSignature(secret, bytes), "content-type": "application/x-odd" };
  const { eventId } = (await send(receiveUrl, bytes, headers)).body;
  const pieces = await client.stream("EventService/GetEventBody", { id: eventId });
  expect(pieces.length).toBeGreaterThan(1);
  expect(Buffer.concat(pieces.map((it) => it.body.data)).equals(bytes)).toBe(true);
  const [first, ...rest] = pieces.map((it) => it.body.contentType);
  expect([first, ...new Set(rest)]).toEqual(["application/x-odd", undefined]);
  // The same event fits a stock client's 4 MiB, because it leaves the body out.
  const { event } = await client.unary("EventService/GetEvent", { id: eventId });
  expect(event).toMatchObject({ id: eventId, size: bytes.length, bodyOmitted: true });
  expect(event).not.toHaveProperty("body");
}

async function replayEvent() {
  const { webhook, eventId, deliveryId } = await seed(service.api, destination.url);
  const { deliveries } = await client.unary("EventService/ReplayEvent", { id: eventId });
  expect(deliveries).toEqual([expect.objectContaining({ eventId, webhookId: webhook.id, url: destination.url })]);
  expect(deliveries[0].id).not.toBe(deliveryId);
  const page = await client.unary("DeliveryService/ListWebhookDeliveries", { webhookId: webhook.id });
  expect(page.items.map((it: Json) => it.id)).toEqual([deliveries[0].id, deliveryId]);
}

async function sendTestEvent() {
  const { id } = await create({ events: ["order.paid"] });
  const { event } = await client.unary("EventService/SendTestEvent", { webhookId: id });
  expect(event).toMatchObject({ webhookId: id, type: "order.paid", status: "received", synthetic: true });
  const payload = { structValue: { fields: { big: { numberValue: 1e15 }, list: { listValue: { values: [] } } } } };
  const chosen = await client.unary("EventService/SendTestEvent", { webhookId: id, eventType: "other", payload });
  expect(chosen.event).toMatchObject({ type: "other", status: "filtered" });
  expect(JSON.parse(chosen.event.payload)).toMatchObject({ big: 1e15, list: [] });
}

async function listWebhookDeliveries() {
  const request = { webhookId: seeded.webhook.id, status: ["succeeded"] };
  const page = await client.unary("DeliveryService/ListWebhookDeliveries", request);
  const summary = { id: seeded.deliveryId, eventId: seeded.eventId, status: "succeeded", attemptCount: 1 };
  expect(page.items).toEqual([expect.objectContaining(summary)]);
  expect(page.items[0].response).toMatchObject({ statusCode: 200, body: "" });
  expect(page.items[0]).not.toHaveProperty("attempts");
  const none = await client.unary("DeliveryService/ListWebhookDeliveries", { ...request, status: ["failed"] });
  expect(none.items ?? []).toEqual([]);
}

async function listDeliveries() {
  const { eventId, deliveryId } = seeded;
  const request = { eventId, status: ["succeeded", "failed"], type: "order.*", since: { seconds: 1 } };
  const page = await client.unary("DeliveryService/ListDeliveries", request);
  expect(page.items.map((item: Json) => item.id)).toEqual([deliveryId]);
  expect(page).not.toHaveProperty("searchTruncated");
}

async function cancelDelivery() {
  const refused = client.unary("DeliveryService/CancelDelivery", { id: seeded.deliveryId });
  await expect(refused).rejects.toMatchObject({ code: status.ABORTED, details: expect.stringContaining("finished") });
}

async function getDelivery() {
  const { delivery } = await client.unary("DeliveryService/GetDelivery", { id: seeded.deliveryId });
  expect(delivery).toMatchObject({ id: seeded.deliveryId, status: "succeeded", eventType: "order.paid" });
  const attempt = { number: 1, trigger: "scheduled", status: "succeeded", statusCode: 200 };
  expect(delivery.attempts).toEqual([expect.objectContaining(attempt)]);
  expect(delivery.attempts[0]).not.toHaveProperty("errorCode");
}

async function retryDelivery() {
  const { deliveryId, eventId } = await seed(service.api, destination.url);
  const before = destination.arrivals.length;
  const { delivery } = await client.unary("DeliveryService/RetryDelivery", { id: deliveryId });
  expect(delivery).toMatchObject({ id: deliveryId, eventId });
  const arrivals = await destination.arrived(before + 1);
  expect(arrivals.at(-1)?.headers["webhook-id"]).toBe(eventId);
}

async function bulkJob() {
  const filter = { webhookId: seeded.webhook.id, status: ["failed"], since: { seconds: 1 } };
  const { job } = await client.unary("BulkJobService/CreateBulkJob", { action: "replay", filter, ratePerSecond: 1 });
  expect(job).toMatchObject({ action: "replay", state: "done", ratePerSecond: 1, filter: { status: ["failed"] } });
  const { id } = job;
  expect(await client.unary("BulkJobService/GetBulkJob", { id })).toEqual({ job });
  const listed = await client.unary("BulkJobService/ListBulkJobs", { limit: 1 });
  expect(listed.items).toEqual([job]);
  for (const verb of ["Pause", "Resume", "Cancel"]) {
    const refused = client.unary(`BulkJobService/${verb}BulkJob`, { id });
    await expect(refused).rejects.toMatchObject({ code: status.ABORTED });
  }
}

async function getSource() {
  const { source } = await client.unary("SourceService/GetSource", { name: "GitHub" });
  expect(source).toMatchObject({ name: "github", label: "GitHub", bodyAuthenticated: true, success: { status: 200 } });
  expect(source.secret.from).toBe("you");
  expect(source.forms).toMatchObject([{ name: "github", kind: "hmac", headers: ["x-hub-signature-256"] }]);
  expect(source.setup[0]).toContain(`${service.url}/api/v1/webhooks/receive/{webhookId}`);
}

async function listSources() {
  const { items, nextCursor, hasMore } = await client.unary("SourceService/ListSources", { limit: 2 });
  expect([items.length, hasMore]).toEqual([2, true]);
  const next = await client.unary("SourceService/ListSources", { limit: 1, cursor: nextCursor });
  expect(next.items[0].name > items[1].name).toBe(true);
}

async function listApiKeys() {
  const { items } = await client.unary("ApiKeyService/ListApiKeys", {});
  expect(items).toContainEqual(expect.objectContaining({ prefix: service.key.slice(0, 12) }));
  expect(items.every((it: Json) => !("key" in it) && !("hash" in it))).toBe(true);
}

async function createApiKey() {
  const expiresAt = { seconds: Math.floor(Date.now() / 1_000) + 600, nanos: 500_000_000 };
  const { apiKey } = await client.unary("ApiKeyService/CreateApiKey", { name: "minted", expiresAt });
  expect(apiKey).toMatchObject({ name: "minted", prefix: apiKey.key.slice(0, 12), expiresAt });
  const minted = createGrpcClient(service.port, apiKey.key);
  try {
    expect(await minted.unary("WebhookService/GetWebhook", { id: seeded.webhook.id })).toHaveProperty("webhook.id");
  } finally {
    minted.close();
  }
}

async function revokeApiKey() {
  const { id, key } = (await service.api.post("/api-keys", { name: "goes" })).body;
  expect(await client.unary("ApiKeyService/RevokeApiKey", { id })).toEqual({ revoked: true });
  const answer = await fetch(`${service.url}/api/v1/webhooks`, { headers: { authorization: `Bearer ${key}` } });
  expect(answer.status).toBe(401);
}

/** The metadata stand for the headers; what belongs to the call is left out of the event. */
async function captureSecret() {
  const { id } = await create({ source: "notion" });
  const { capture } = await client.unary("SecretCaptureService/OpenSecretCapture", { id, seconds: 60 });
  expect(capture).toMatchObject({ webhookId: id, state: "open" });
  await send(`${service.url}/api/v1/webhooks/receive/${id}`, '{"verification_token":"secret_taken"}', {});
  const found = await client.unary("SecretCaptureService/GetSecretCapture", { id });
  expect(found.capture).toMatchObject({ webhookId: id, state: "captured", remoteAddress: "127.0.0.1" });
  const { webhook } = await client.unary("SecretCaptureService/ConfirmSecretCapture", { id });
  expect(webhook).toMatchObject({ id, secret: "secret_taken" });
}

async function listWebhookHandshakes() {
  const page = await client.unary("TraceService/ListWebhookHandshakes", { webhookId: seeded.captureId });
  const handshake = { webhookId: seeded.captureId, statusCode: 200, method: "POST", remoteAddress: "127.0.0.1" };
  expect(page.items).toEqual([expect.objectContaining(handshake)]);
  expect({ ...lastPage, ...page }).toMatchObject(lastPage);
}

async function listWebhookRejections() {
  const page = await client.unary("TraceService/ListWebhookRejections", { webhookId: seeded.webhook.id });
  const rejection = { webhookId: seeded.webhook.id, statusCode: 401, check: "missing_signature", method: "POST" };
  expect(page.items).toEqual([expect.objectContaining({ ...rejection, size: SEED_BODY.length })]);
  expect({ ...lastPage, ...page }).toMatchObject(lastPage);
}

async function receive() {
  const { id: webhookId, secret } = await create();
  const data = Buffer.from('{"type":"a.b"}');
  const metadata = { ...hubSignature(secret, data), "x-shop": "one", "x-api-key": "hidden" };
  const request = { webhookId, body: { contentType: "application/json", data } };
  const received = await client.unary("ReceiveService/Receive", request, { metadata, authorized: false });
  expect(received).toEqual({ received: true, eventId: expect.any(String) });
  const { event } = await client.unary("EventService/GetEvent", { id: received.eventId });
  expect(event).toMatchObject({ webhookId, type: "a.b", body: data, contentType: "application/json" });
  const { "x-hub-signature-256": signature } = hubSignature(secret, data);
  const kept = { "content-type": "application/json", "x-hub-signature-256": signature };
  expect(event.headers).toEqual({ ...kept, "x-shop": "one", "x-api-key": "[redacted]" });
}

async function receiveLinear() {
  const { id: webhookId, secret } = await create({ source: "linear" });
  const { body, headers } = linearRequest(secret, Date.now());
  const request = { body: { contentType: "application/json", data: Buffer.from(body) } };
  const received = await client.unary("ReceiveService/ReceiveLinear", request, {
    metadata: headers,
    authorized: false,
  });
  const { event } = await client.unary("EventService/GetEvent", { id: received.eventId });
  expect(event).toMatchObject({ webhookId, type: "Issue.create", sourceEventId: headers["linear-delivery"] });
}
