/** Rotating the inbound secret: at once without a grace, and with one until it ends, by the service's clock. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, standardHeaders } from "./senders.ts";

const clock = new ManualClock();
let service: TestService;

beforeAll(async () => {
  service = await startService({ clock });
});
afterAll(async () => {
  await service?.stop();
});

async function rotate({ id }: CreatedWebhook, settings: object = {}): Promise<string> {
  const { status, body } = await service.api.post(`/webhooks/${id}/rotate`, settings);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.secret;
}

/** Status of an event signed with the secret. */
async function statusOf(webhook: CreatedWebhook, secret: string): Promise<number> {
  return (await send(webhook.receiveUrl, "{}", hubSignature(secret, "{}"))).status;
}

async function statusesOf(webhook: CreatedWebhook, secrets: readonly string[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const secret of secrets) statuses.push(await statusOf(webhook, secret));
  return statuses;
}

test("without a grace the old secret is refused at once and the new one taken", async () => {
  const webhook = await createWebhook(service.api);
  expect(await statusOf(webhook, webhook.secret)).toBe(200);
  const secret = await rotate(webhook);
  expect(secret).not.toBe(webhook.secret);
  expect(await statusesOf(webhook, [webhook.secret, secret])).toEqual([401, 200]);
  expect(await eventsOf(service.api, webhook)).toHaveLength(2);
});

test("with a grace both are taken until its last millisecond, then the old one is refused", async () => {
  const webhook = await createWebhook(service.api);
  const secret = await rotate(webhook, { gracePeriodSeconds: 60 });
  expect(await statusesOf(webhook, [webhook.secret, secret])).toEqual([200, 200]);
  clock.advance(59_999);
  expect(await statusesOf(webhook, [webhook.secret, secret])).toEqual([200, 200]);
  clock.advance(1);
  expect(await statusesOf(webhook, [webhook.secret, secret])).toEqual([401, 200]);
});

test("graces of several rotations end each at its own time", async () => {
  const webhook = await createWebhook(service.api);
  const second = await rotate(webhook, { gracePeriodSeconds: 100 });
  clock.advance(50_000);
  const third = await rotate(webhook, { gracePeriodSeconds: 100 });
  const all = [webhook.secret, second, third];
  expect(await statusesOf(webhook, all)).toEqual([200, 200, 200]);
  clock.advance(50_000);
  expect(await statusesOf(webhook, all)).toEqual([401, 200, 200]);
  clock.advance(50_000);
  expect(await statusesOf(webhook, all)).toEqual([401, 401, 200]);
});

test("a rotation without a grace ends earlier graces too", async () => {
  const webhook = await createWebhook(service.api);
  const second = await rotate(webhook, { gracePeriodSeconds: 86_400 });
  const third = await rotate(webhook);
  expect(await statusesOf(webhook, [webhook.secret, second, third])).toEqual([401, 401, 200]);
});

test("a supplied secret is taken; rotating the forward secret leaves the inbound one alone", async () => {
  const webhook = await createWebhook(service.api);
  const supplied = "a partner's own secret";
  expect(await rotate(webhook, { secret: supplied })).toBe(supplied);
  expect(await statusesOf(webhook, [webhook.secret, supplied])).toEqual([401, 200]);
  await service.api.post(`/webhooks/${webhook.id}/rotate`, { target: "forward" });
  expect(await statusOf(webhook, supplied)).toBe(200);
});

test("the secret of one webhook opens no other, nor does the forward secret open its own", async () => {
  const [one, two] = [await createWebhook(service.api), await createWebhook(service.api)];
  const { body } = await service.api.post("/webhooks", { name: "forwards" });
  expect(await statusOf(two, one.secret)).toBe(401);
  expect(await statusOf({ ...one, receiveUrl: body.receiveUrl }, body.forwardSecret)).toBe(401);
});

test("within a grace every signature of a request counts against every secret", async () => {
  const webhook = await createWebhook(service.api);
  const secret = await rotate(webhook, { gracePeriodSeconds: 60 });
  const timestamp = Math.floor(clock.now() / 1_000);
  const [old, current, foreign] = [webhook.secret, secret, (await createWebhook(service.api)).secret].map(
    (one) => standardHeaders(one, "{}", "msg_1", timestamp)["webhook-signature"],
  );
  const post = async (signatures: readonly (string | undefined)[], id: string) => {
    const headers = {
      "webhook-id": id,
      "webhook-timestamp": `${timestamp}`,
      "webhook-signature": signatures.join(" "),
    };
    return (await send(webhook.receiveUrl, "{}", headers)).status;
  };
  expect(await post([foreign, old], "msg_1")).toBe(200);
  expect(await post([foreign, current], "msg_1")).toBe(200);
  expect(await post([foreign], "msg_1")).toBe(401);
  expect(await post([old, current], "msg_2")).toBe(401);
});
