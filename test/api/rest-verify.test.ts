/** POST /webhooks/verify: a verdict on a captured request. */
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Stripe } from "stripe";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature } from "../support/api.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, notFound, refusal } from "./refusal.ts";

const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";
const SECRET = `whsec_${Buffer.alloc(32, 3).toString("base64")}`;
const PAYLOAD = '{"id":"evt_1","type":"invoice.paid","amount":1.0}';

let service: TestService;
let clock: ManualClock;

beforeAll(async () => {
  clock = new ManualClock();
  service = await startService({ clock });
});
afterAll(async () => {
  await service?.stop();
});

const verify = (fields: object) => service.api.post("/webhooks/verify", fields);
const stripeHeaders = (secret: string, atMs: number) => {
  const timestamp = Math.floor(atMs / 1000);
  const header = Stripe.webhooks.generateTestHeaderString({ payload: PAYLOAD, secret, timestamp });
  return { "Stripe-Signature": header };
};
const standardHeaders = (secret: string, atMs: number) => ({
  "webhook-id": "msg_1",
  "webhook-timestamp": String(Math.floor(atMs / 1000)),
  "webhook-signature": new StandardWebhook(secret).sign("msg_1", new Date(atMs), PAYLOAD),
});

test("a valid signature by webhook", async () => {
  const webhook = (await service.api.post("/webhooks", { name: "w", source: "stripe", secret: SECRET })).body;
  const headers = stripeHeaders(SECRET, clock.now());
  const answer = await verify({ webhookId: webhook.id, headers, payload: PAYLOAD });
  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({
    valid: true,
    scheme: "stripe",
    reason: null,
    eventType: "invoice.paid",
    eventId: "evt_1",
  });
  const shouted = await verify({ webhookId: webhook.id.toUpperCase(), headers, payload: PAYLOAD });
  expect(shouted.body).toEqual(answer.body);
});

test.each<[string, () => Record<string, string>, object]>([
  ["custom", () => standardHeaders(SECRET, clock.now()), { scheme: "standardwebhooks", eventId: "msg_1" }],
  ["custom", () => hubSignature(SECRET, PAYLOAD), { scheme: "hub-signature-256", eventId: null }],
  ["Standard-Webhooks", () => standardHeaders(SECRET, clock.now()), { scheme: "standardwebhooks", eventId: "msg_1" }],
  [
    "stripe",
    () => stripeHeaders(SECRET, clock.now()),
    { scheme: "stripe", eventType: "invoice.paid", eventId: "evt_1" },
  ],
  [
    "github",
    () => ({ ...hubSignature(SECRET, PAYLOAD), "X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1" }),
    { scheme: "github", eventType: "push", eventId: "d-1" },
  ],
])("a valid signature by source %s and secret", async (source, headers, verdict) => {
  const { body } = await verify({ source, secret: SECRET, headers: headers(), payload: PAYLOAD });
  expect(body).toMatchObject({ valid: true, reason: null, ...verdict });
});

test("the payload may come as the exact bytes", async () => {
  const bytes = Buffer.from([0xff, 0, 0x7b]);
  const headers = hubSignature(SECRET, bytes);
  const right = await verify({ source: "custom", secret: SECRET, headers, body: bytes.toString("base64") });
  expect(right.body).toMatchObject({ valid: true, eventType: null });
  const wrong = await verify({ source: "custom", secret: SECRET, headers, payload: bytes.toString("latin1") });
  expect(wrong.body.valid).toBe(false);
});

test("an empty payload is one", async () => {
  const fields = { source: "custom", secret: SECRET, headers: hubSignature(SECRET, "") };
  expect((await verify({ ...fields, payload: "" })).body.valid).toBe(true);
  expect((await verify({ ...fields, body: "" })).body.valid).toBe(true);
});

test.each<[string, object, RegExp]>([
  ["no signature", { headers: {} }, /stripe-signature is missing/],
  ["another provider's", { headers: hubSignature(SECRET, PAYLOAD) }, /x-hub-signature-256 present.*source is stripe/],
  ["another secret", { secret: "whsec_other" }, /no signature matches/],
  ["another payload", { payload: `${PAYLOAD} ` }, /no signature matches/],
  ["a malformed one", { headers: { "stripe-signature": "t=1" } }, /./],
])("an invalid signature is an answer with a reason: %s", async (_what, fields, reason) => {
  const headers = stripeHeaders(SECRET, clock.now());
  const { status, body } = await verify({ source: "stripe", secret: SECRET, headers, payload: PAYLOAD, ...fields });
  expect(status).toBe(200);
  expect(body).toMatchObject({ valid: false, scheme: "stripe", reason: expect.stringMatching(reason) });
  expect(body.reason).not.toContain(SECRET);
  expect(Object.keys(body)).toEqual(["valid", "scheme", "reason", "eventType", "eventId"]);
});

test("`at` is the time to judge timestamps against", async () => {
  const capturedMs = Date.parse("2026-11-20T10:00:00Z");
  const fields = { source: "stripe", secret: SECRET, headers: stripeHeaders(SECRET, capturedMs), payload: PAYLOAD };
  const now = await verify(fields);
  expect([now.body.valid, now.body.reason]).toEqual([false, expect.stringMatching(/old|timestamp|tolerance/)]);
  expect((await verify({ ...fields, at: "2026-11-20T10:05:00Z" })).body.valid).toBe(true);
  expect((await verify({ ...fields, at: "2026-11-20T11:05:00+01:00" })).body.valid).toBe(true);
  expect((await verify({ ...fields, at: "2026-11-20T10:05:02Z" })).body.valid).toBe(false);
});

test("by webhook, a secret counts for as long as its grace", async () => {
  const webhook = (await service.api.post("/webhooks", { name: "w", secret: SECRET })).body;
  const fields = { webhookId: webhook.id, headers: hubSignature(SECRET, PAYLOAD), payload: PAYLOAD };
  await service.api.post(`/webhooks/${webhook.id}/rotate`, { gracePeriodSeconds: 60 });
  expect((await verify(fields)).body.valid).toBe(true);
  clock.advance(60_000);
  expect((await verify(fields)).body.valid).toBe(false);
});

test("nothing is recorded", async () => {
  const webhook = (await service.api.post("/webhooks", { name: "w", secret: SECRET })).body;
  const fields = { webhookId: webhook.id, headers: hubSignature(SECRET, PAYLOAD), payload: PAYLOAD };
  expect((await verify(fields)).body.valid).toBe(true);
  expect((await service.api.get(`/webhooks/${webhook.id}/events`)).body.items).toEqual([]);
});

test.each<[string, object, readonly string[]]>([
  ["nothing", {}, [" verify.payload", " verify.subject"]],
  ["webhookId and source", { webhookId: UNKNOWN_ID, source: "custom", secret: "x", payload: "" }, [" verify.subject"]],
  ["webhookId and secret", { webhookId: UNKNOWN_ID, secret: "x", payload: "" }, [" verify.subject"]],
  ["source without secret", { source: "custom", payload: "" }, [" verify.subject"]],
  ["secret without source", { secret: "x", payload: "" }, [" verify.subject"]],
  ["no payload", { source: "custom", secret: "x" }, [" verify.payload"]],
  ["payload and body", { source: "custom", secret: "x", payload: "", body: "" }, [" verify.payload"]],
  ["a payload of JSON", { source: "custom", secret: "x", payload: { a: 1 } }, ["payload type"]],
  ["a body that is no base64", { source: "custom", secret: "x", body: "*" }, ["body type"]],
  ["headers of lists", { source: "custom", secret: "x", payload: "", headers: { a: ["b"] } }, ['headers["a"] type']],
  ["a time that is none", { source: "custom", secret: "x", payload: "", at: "yesterday" }, ["at type"]],
  ["an id that is no UUID", { webhookId: "1", payload: "" }, ["webhookId string.uuid"]],
  ["an empty secret", { source: "custom", secret: "", payload: "" }, ["secret string.min_len"]],
  ["a secret of no use", { source: "standardwebhooks", secret: "x y", payload: "" }, ["secret secret"]],
])("refuses %s", async (_what, fields, violations) => {
  const [status, code, found] = refusal(await verify(fields));
  expect([status, code, [...found].sort()]).toEqual([400, "BAD_REQUEST", violations]);
});

test("a secret of no use is told what it must be, without being quoted", async () => {
  const { body } = await verify({ source: "standardwebhooks", secret: "hunter2!", payload: "" });
  expect(body.error.message).toBe("secret: must be base64 of 24 to 64 bytes, with or without whsec_");
});

test("an unknown webhook is NOT_FOUND", async () => {
  expect(refusal(await verify({ webhookId: UNKNOWN_ID, payload: "" }))).toEqual(notFound);
  expect(refusal(await verify({ webhookId: "1", source: "s" }))[1]).toBe(badRequest()[1]);
});
