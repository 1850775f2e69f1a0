/** Every RPC with @connectrpc/connect-web, over each protocol that a browser speaks. */
import { randomBytes } from "node:crypto";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linearRequest } from "../receive/linear-senders.ts";
import { hubSignature, readAnswer, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { type Clients, createClients, generatedMethods, rpcName, TRANSPORTS } from "./connect-clients.ts";
import { SEED_BODY, type Seed, seed } from "./seed.ts";

/** One case for each RPC; a new RPC fails the test below until it has one. */
const CASES: Readonly<Record<string, (clients: Clients) => Promise<void>>> = {
  "ApiKeyService/CreateApiKey": createAndRevokeApiKey,
  "ApiKeyService/ListApiKeys": listApiKeys,
  "ApiKeyService/RevokeApiKey": createAndRevokeApiKey,
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
let seeded: Seed;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  seeded = await seed(service.api, destination.url);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test("every RPC of the descriptors has a case here", () => {
  expect(Object.keys(CASES).sort()).toEqual(generatedMethods().map(rpcName).sort());
});

describe.each(Object.entries(TRANSPORTS))("%s", (_protocol, transport) => {
  test.each(Object.entries(CASES))("%s", async (_rpc, run) => {
    await run(createClients(transport({ url: service.url, key: service.key })));
  });

  test("without a key: unauthenticated", async () => {
    const { webhooks, events } = createClients(transport({ url: service.url, key: undefined }));
    const calls = [webhooks.listWebhooks({}), collect(events.getEventBody({ id: seeded.eventId }))];
    for (const call of calls) {
      const error = await call.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ConnectError);
      expect((error as ConnectError).code).toBe(Code.Unauthenticated);
    }
  });
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const secretOf = (webhook: { issuedSecret: { value?: string | undefined } } | undefined) =>
  webhook?.issuedSecret.value ?? "";

async function createWebhook({ webhooks }: Clients) {
  const request = { name: "made", url: destination.url, events: ["a"], enabled: false, secret: "supplied" };
  const { webhook } = await webhooks.createWebhook(request);
  expect(webhook).toMatchObject({ name: "made", url: destination.url, events: ["a"], status: "paused" });
  expect(webhook?.issuedSecret).toEqual({ case: "secret", value: "supplied" });
  expect(webhook?.issuedForwardSecret).toMatchObject({ case: "forwardSecret" });
  expect(webhook?.receiveUrl).toBe(`${service.url}/api/v1/webhooks/receive/${webhook?.id}`);
}

async function getWebhook({ webhooks }: Clients) {
  const { webhook } = await webhooks.getWebhook({ id: seeded.webhook.id });
  expect(webhook).toMatchObject({ id: seeded.webhook.id, name: "seed", enabled: true, deliveryCount: 1 });
  expect(webhook?.issuedSecret.case).toBeUndefined();
}

async function listWebhooks({ webhooks }: Clients) {
  const source = `src-${randomBytes(4).toString("hex")}`;
  const [older, newer] = [
    await webhooks.createWebhook({ name: "a", source }),
    await webhooks.createWebhook({ name: "b", source }),
  ];
  const first = await webhooks.listWebhooks({ source, limit: 1 });
  expect(first).toMatchObject({ items: [{ id: newer.webhook?.id }], hasMore: true });
  const second = await webhooks.listWebhooks({ source, limit: 1, cursor: first.nextCursor ?? "" });
  expect(second).toMatchObject({ items: [{ id: older.webhook?.id }], hasMore: false });
  expect(second.nextCursor).toBeUndefined();
}

async function updateWebhook({ webhooks }: Clients) {
  const made = (await webhooks.createWebhook({ name: "w", description: "kept", events: ["a"] })).webhook;
  const changed = { id: made?.id ?? "", name: "renamed" };
  const { webhook } = await webhooks.updateWebhook({ webhook: changed, updateMask: { paths: ["name", "events"] } });
  expect(webhook).toMatchObject({ name: "renamed", description: "kept", events: [] });
  expect((await webhooks.getWebhook({ id: changed.id })).webhook).toEqual(webhook);
}

async function deleteWebhook({ webhooks }: Clients) {
  const id = (await webhooks.createWebhook({ name: "w" })).webhook?.id ?? "";
  expect((await webhooks.deleteWebhook({ id })).deleted).toBe(true);
  await expect(webhooks.getWebhook({ id })).rejects.toMatchObject({ code: Code.NotFound });
}

async function rotateWebhookSecret({ webhooks }: Clients) {
  const made = (await webhooks.createWebhook({ name: "w" })).webhook;
  const { webhook } = await webhooks.rotateWebhookSecret({ id: made?.id ?? "" });
  expect(secretOf(webhook)).not.toBe(secretOf(made));
  const receiveUrl = webhook?.receiveUrl ?? "";
  expect((await send(receiveUrl, "{}", hubSignature(secretOf(made), "{}"))).status).toBe(401);
  expect((await send(receiveUrl, "{}", hubSignature(secretOf(webhook), "{}"))).status).toBe(200);
}

async function verifySignature({ webhooks }: Clients) {
  const body = new Uint8Array([0, 0xff, 0x7b]);
  const request = { source: "custom", secret: "s3cret", headers: hubSignature("s3cret", body) };
  const good = await webhooks.verifySignature({ ...request, body });
  expect([good.valid, good.reason]).toEqual([true, undefined]);
  const bad = await webhooks.verifySignature({ ...request, body: new Uint8Array(1) });
  expect([bad.valid, bad.reason]).toEqual([false, expect.stringMatching(/./)]);
}

const isSeed = () => expect.objectContaining({ id: seeded.eventId, type: "order.paid", webhookName: "seed" });

async function listWebhookEvents({ events }: Clients) {
  const page = await events.listWebhookEvents({ webhookId: seeded.webhook.id });
  expect(page).toMatchObject({ items: [isSeed()], hasMore: false });
}

async function captureSecret({ webhooks, captures }: Clients) {
  const { webhook } = await webhooks.createWebhook({ name: "w", source: "notion" });
  const [id, url] = [webhook?.id ?? "", webhook?.receiveUrl ?? ""];
  expect((await captures.openSecretCapture({ id })).capture).toMatchObject({ webhookId: id, state: "open" });
  await send(url, '{"verification_token":"secret_taken"}', {});
  expect((await captures.getSecretCapture({ id })).capture).toMatchObject({ webhookId: id, state: "captured" });
  const confirmed = await captures.confirmSecretCapture({ id });
  expect(confirmed.webhook?.issuedSecret).toEqual({ case: "secret", value: "secret_taken" });
}

async function listWebhookHandshakes({ traces }: Clients) {
  const { items } = await traces.listWebhookHandshakes({ webhookId: seeded.captureId });
  expect(items).toMatchObject([{ statusCode: 200, method: "POST", count: 0 }]);
}

async function listWebhookRejections({ traces }: Clients) {
  const { items } = await traces.listWebhookRejections({ webhookId: seeded.webhook.id });
  expect(items).toMatchObject([{ statusCode: 401, check: "missing_signature", size: SEED_BODY.length, count: 0 }]);
}

async function listEvents({ events }: Clients) {
  expect((await events.listEvents({ limit: 100 })).items).toContainEqual(isSeed());
}

async function getEvent({ events }: Clients) {
  const { event } = await events.getEvent({ id: seeded.eventId });
  expect(event).toMatchObject({ payload: SEED_BODY, bodyOmitted: false, verified: true, synthetic: false });
  expect(Buffer.from(event?.body ?? []).toString()).toBe(SEED_BODY);
  expect(event?.headers).toMatchObject(hubSignature(seeded.webhook.secret, SEED_BODY));
}

async function getEventBody({ webhooks, events }: Clients) {
  const { webhook } = await webhooks.createWebhook({ name: "large" });
  const bytes = new Uint8Array(randomBytes(1_200_001));
  const headers = { ...hubSignature(secretOf(webhook), bytes), "content-type": "application/x-odd" };
  const { eventId } = (await send(webhook?.receiveUrl ?? "", bytes, headers)).body;
  const pieces = await collect(events.getEventBody({ id: eventId }));
  expect(pieces.map(({ body }) => body?.contentType)).toEqual(["application/x-odd", "", ""]);
  expect(Buffer.concat(pieces.map(({ body }) => body?.data ?? new Uint8Array())).equals(bytes)).toBe(true);
}

async function replayEvent({ events, deliveries }: Clients) {
  const { webhook, eventId, deliveryId } = await seed(service.api, destination.url);
  const replayed = await events.replayEvent({ id: eventId });
  expect(replayed.deliveries).toMatchObject([{ eventId, webhookId: webhook.id, url: destination.url }]);
  const { items } = await deliveries.listWebhookDeliveries({ webhookId: webhook.id });
  expect(items.map((it) => it.id)).toEqual([replayed.deliveries[0]?.id, deliveryId]);
}

async function sendTestEvent({ webhooks, events }: Clients) {
  const { webhook } = await webhooks.createWebhook({ name: "w" });
  const payload = { kind: { case: "stringValue" as const, value: "just text" } };
  const { event } = await events.sendTestEvent({ webhookId: webhook?.id ?? "", payload });
  expect(event).toMatchObject({ payload: '"just text"', synthetic: true, status: "received" });
}

async function listWebhookDeliveries({ deliveries }: Clients) {
  const page = await deliveries.listWebhookDeliveries({ webhookId: seeded.webhook.id, status: ["succeeded"] });
  const summary = { id: seeded.deliveryId, attemptCount: 1, retryCount: 0, response: { statusCode: 200, body: "" } };
  expect(page).toMatchObject({ items: [summary], hasMore: false });
}

async function listDeliveries({ deliveries }: Clients) {
  const { eventId, deliveryId } = seeded;
  const page = await deliveries.listDeliveries({ eventId, status: ["succeeded", "failed"], type: "order.*" });
  expect(page).toMatchObject({ items: [{ id: deliveryId }], hasMore: false });
  expect(page.bound.case).toBeUndefined();
}

async function cancelDelivery({ deliveries }: Clients) {
  await expect(deliveries.cancelDelivery({ id: seeded.deliveryId })).rejects.toMatchObject({
    code: Code.Aborted,
    rawMessage: expect.stringContaining("finished"),
  });
}

async function getDelivery({ deliveries }: Clients) {
  const { delivery } = await deliveries.getDelivery({ id: seeded.deliveryId });
  const attempt = { number: 1, trigger: "scheduled", status: "succeeded", statusCode: 200, responseTruncated: false };
  expect(delivery).toMatchObject({ id: seeded.deliveryId, status: "succeeded", attempts: [attempt] });
}

async function retryDelivery({ deliveries }: Clients) {
  const { deliveryId, eventId } = await seed(service.api, destination.url);
  const before = destination.arrivals.length;
  expect((await deliveries.retryDelivery({ id: deliveryId })).delivery).toMatchObject({ id: deliveryId, eventId });
  expect((await destination.arrived(before + 1)).at(-1)?.headers["webhook-id"]).toBe(eventId);
}

async function bulkJob({ bulkJobs }: Clients) {
  const asked = { action: "replay", filter: { webhookId: seeded.webhook.id, status: ["failed"] } };
  const { job: dry } = await bulkJobs.createBulkJob({ ...asked, dryRun: true });
  expect(dry).toMatchObject({ state: "dry_run", matched: 0, ratePerSecond: 100 });
  expect(dry?.id).toBeUndefined();
  const { job } = await bulkJobs.createBulkJob(asked);
  const id = job?.id ?? "";
  expect(job).toMatchObject({ state: "done", matched: 0, filter: asked.filter });
  expect((await bulkJobs.getBulkJob({ id })).job).toEqual(job);
  expect((await bulkJobs.listBulkJobs({ limit: 1, state: "done" })).items).toEqual([job]);
  for (const change of [bulkJobs.pauseBulkJob, bulkJobs.resumeBulkJob, bulkJobs.cancelBulkJob]) {
    await expect(change({ id })).rejects.toMatchObject({ code: Code.Aborted });
  }
}

async function getSource({ sources }: Clients) {
  const { source } = await sources.getSource({ name: "GITHUB" });
  expect(source).toMatchObject({ name: "github", label: "GitHub", secret: { from: "you" }, publicUrlRequired: false });
}

async function listSources({ sources }: Clients) {
  const { items, nextCursor } = await sources.listSources({ limit: 2 });
  expect(items.map(({ name }) => name)).toEqual(items.map(({ name }) => name).sort());
  const next = await sources.listSources({ limit: 1, cursor: nextCursor ?? "" });
  expect(next.items[0]?.name).not.toBe(items[1]?.name);
}

async function listApiKeys({ apiKeys }: Clients) {
  const { items } = await apiKeys.listApiKeys({ limit: 100 });
  expect(items).toContainEqual(expect.objectContaining({ prefix: service.key.slice(0, 12), name: expect.any(String) }));
  expect(items.every((it) => it.issuedKey.case === undefined)).toBe(true);
}

async function createAndRevokeApiKey({ apiKeys }: Clients) {
  const expiresAt = timestampFromDate(new Date(Date.now() + 600_000));
  const { apiKey } = await apiKeys.createApiKey({ name: "minted", expiresAt });
  expect(apiKey?.expiresAt && timestampDate(apiKey.expiresAt)).toEqual(timestampDate(expiresAt));
  const use = async () => {
    const headers = { authorization: `Bearer ${apiKey?.issuedKey.value}` };
    return (await readAnswer(await fetch(`${service.url}/api/v1/webhooks`, { headers }))).status;
  };
  expect(await use()).toBe(200);
  expect((await apiKeys.revokeApiKey({ id: apiKey?.id ?? "" })).revoked).toBe(true);
  expect(await use()).toBe(401);
}

async function receive({ webhooks, receiving, events }: Clients) {
  const { webhook } = await webhooks.createWebhook({ name: "w", events: ["order.*"] });
  const [webhookId, secret] = [webhook?.id ?? "", secretOf(webhook)];
  const data = new TextEncoder().encode('{"type":"a.b"}');
  const headers = { ...hubSignature(secret, data), "x-shop": "one" };
  const request = { webhookId, body: { contentType: "application/json", data } };
  const received = await receiving.receive(request, { headers });
  expect(received).toMatchObject({ received: true, duplicate: false });
  const { event } = await events.getEvent({ id: received.eventId });
  expect(event).toMatchObject({ type: "a.b", status: "filtered", contentType: "application/json", body: data });
  expect(event?.headers).toMatchObject({ ...headers, "content-type": "application/json" });
}

async function receiveLinear({ webhooks, receiving, events }: Clients) {
  const { webhook } = await webhooks.createWebhook({ name: "w", source: "linear" });
  const { body, headers } = linearRequest(secretOf(webhook), Date.now());
  const data = new TextEncoder().encode(body);
  const received = await receiving.receiveLinear({ body: { contentType: "application/json", data } }, { headers });
  expect(received).toMatchObject({ received: true, duplicate: false });
  const { event } = await events.getEvent({ id: received.eventId });
  expect(event).toMatchObject({ webhookId: webhook?.id, type: "Issue.create", body: data });
}
