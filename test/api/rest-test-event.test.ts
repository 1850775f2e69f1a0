/** POST /webhooks/test: a synthetic event through the real receive path. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, conflict, notFound, refusal } from "./refusal.ts";

const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

const create = async (fields: object = {}) => (await service.api.post("/webhooks", { name: "w", ...fields })).body;
const sendTest = (body: object) => service.api.post("/webhooks/test", body);

test.each<[string, string]>([
  ["custom", "standardwebhooks"],
  ["standardwebhooks", "standardwebhooks"],
  ["stripe", "stripe"],
  ["github", "github"],
])("%s: recorded, verified as %s, and marked synthetic", async (source, scheme) => {
  const webhook = await create({ source });
  const { status, body } = await sendTest({ webhookId: webhook.id });
  expect(status).toBe(200);
  expect(body).toMatchObject({ webhookId: webhook.id, webhookName: "w", type: "test", scheme });
  expect(body).toMatchObject({ verified: true, synthetic: true, status: "received", contentType: "application/json" });
  expect((await service.api.get(`/webhooks/events/${body.id}`)).body).toEqual(body);
  expect((await service.api.get(`/webhooks/${webhook.id}/events`)).body.items).toHaveLength(1);
});

test("a supplied secret that only the second form of custom can use", async () => {
  const webhook = await create({ secret: "plain text" });
  expect((await sendTest({ webhookId: webhook.id })).body.scheme).toBe("hub-signature-256");
});

test("is forwarded like any other event", async () => {
  const webhook = await create({ url: destination.url });
  const { body } = await sendTest({ webhookId: webhook.id, payload: { hello: "world" } });
  const [arrival] = await destination.arrived(1);
  expect([arrival?.headers["webhook-id"], arrival?.body.toString()]).toEqual([body.id, body.payload]);
});

test.each<[string, readonly string[], object, string, string]>([
  ["the one asked for", [], { eventType: "order.paid" }, "order.paid", "received"],
  ["the first of the allowlist", ["b.c", "a"], {}, "b.c", "received"],
  ["the first of the allowlist that is no pattern", ["a.*", "b"], {}, "b", "received"],
  ["test where all are patterns", ["*"], {}, "test", "received"],
  ["one that the allowlist leaves out", ["a"], { eventType: "z" }, "z", "filtered"],
  ["that of the payload given", [], { payload: { type: "mine" } }, "mine", "received"],
])("its type is %s", async (_what, events, fields, type, status) => {
  const webhook = await create({ events });
  expect((await sendTest({ webhookId: webhook.id, ...fields })).body).toMatchObject({ type, status });
});

test.each<[unknown]>([[null], [[1, "a"]], ["text"], [12.5], [false], [{ a: { b: [null] } }], [{}]])(
  "its payload may be any JSON value: %j",
  async (payload) => {
    const webhook = await create({ source: "github" });
    const { status, body } = await sendTest({ webhookId: webhook.id, payload });
    expect([status, JSON.parse(body.payload)]).toEqual([200, payload]);
  },
);

test("two test events are two events, whatever the duplicates' rule", async () => {
  const webhook = await create({ source: "stripe" });
  const ids = [
    (await sendTest({ webhookId: webhook.id })).body.id,
    (await sendTest({ webhookId: webhook.id })).body.id,
  ];
  expect(ids[0]).not.toBe(ids[1]);
});

test("a paused webhook records it, a disabled one refuses it", async () => {
  const webhook = await create({ status: "paused", url: destination.url });
  expect((await sendTest({ webhookId: webhook.id })).status).toBe(200);
  await service.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
  expect(refusal(await sendTest({ webhookId: webhook.id }))).toEqual([403, "FORBIDDEN", []]);
  expect((await service.api.get(`/webhooks/${webhook.id}/events`)).body.items).toHaveLength(1);
});

test("a webhook whose secret cannot be used any more: CONFLICT", async () => {
  const webhook = await create();
  await service.pool.query("update webhook_secrets set hash = '\\x00' where webhook_id = $1", [webhook.id]);
  expect(refusal(await sendTest({ webhookId: webhook.id }))).toEqual(conflict);
});

test.each<[object, string]>([
  [{}, "webhookId string.uuid_empty"],
  [{ webhookId: "1" }, "webhookId string.uuid"],
  [{ webhookId: UNKNOWN_ID, eventType: "" }, "eventType string.min_len"],
  [{ webhookId: UNKNOWN_ID, eventType: "x".repeat(201) }, "eventType string.max_len"],
  [{ webhookId: UNKNOWN_ID, eventType: "a\nb" }, "eventType string.pattern"],
  [{ webhookId: UNKNOWN_ID, type: "x" }, "type unknown"],
])("refuses %j", async (body, field) => {
  expect(refusal(await sendTest(body))).toEqual(badRequest(field));
});

test("an unknown webhook is NOT_FOUND", async () => {
  expect(refusal(await sendTest({ webhookId: UNKNOWN_ID }))).toEqual(notFound);
});
