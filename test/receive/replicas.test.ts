/** Two replicas: what is changed through one is in force for the other's very next request, though it remembers the webhook. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, readEvent, receiveUrlAt, refused } from "./senders.ts";

let a: TestService;
let b: TestService;

beforeAll(async () => {
  a = await startService();
  b = await startService({ replicaOf: a });
});
afterAll(async () => {
  await b?.stop();
  await a?.stop();
});

let sent = 0;

/** An event of the type `order.paid`, signed with the secret, sent to one replica. */
async function post(to: TestService, webhook: CreatedWebhook, secret = webhook.secret) {
  sent += 1;
  const body = JSON.stringify({ type: "order.paid", n: sent });
  return await send(receiveUrlAt(to.url, webhook), body, hubSignature(secret, body));
}

/** A webhook that both replicas hold in memory. */
async function createWarm(settings: object = {}): Promise<CreatedWebhook> {
  const webhook = await createWebhook(a.api, settings);
  for (const one of [a, b]) expect((await post(one, webhook)).status).toBe(200);
  return webhook;
}

const directions: [name: string, replicas: () => [TestService, TestService]][] = [
  ["changed through the first, sent to the second", () => [a, b]],
  ["changed through the second, sent to the first", () => [b, a]],
];

describe.each(directions)("%s", (_name, replicas) => {
  test("rotation: the old secret is refused", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    await here.api.post(`/webhooks/${webhook.id}/rotate`);
    expect(refused(await post(there, webhook))).toEqual([401, "UNAUTHORIZED"]);
    expect(await eventsOf(a.api, webhook)).toHaveLength(2);
  });

  test("rotation: the new secret is taken", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    const { secret } = (await here.api.post(`/webhooks/${webhook.id}/rotate`)).body;
    expect((await post(there, webhook, secret)).status).toBe(200);
  });

  test("a grace cut short by a second rotation", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    await here.api.post(`/webhooks/${webhook.id}/rotate`, { gracePeriodSeconds: 3_600 });
    expect((await post(there, webhook)).status).toBe(200);
    await here.api.post(`/webhooks/${webhook.id}/rotate`);
    expect((await post(there, webhook)).status).toBe(401);
  });

  test("verification: what it no longer describes is refused, what it does is taken", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    const change = { verification: { scheme: "hmac", header: "x-acme-signature", prefix: "sha256=" } };
    expect((await here.api.patch(`/webhooks/${webhook.id}`, change)).status).toBe(200);
    expect(refused(await post(there, webhook))).toEqual([401, "UNAUTHORIZED"]);
    const headers = { "x-acme-signature": hubSignature(webhook.secret, "{}")["x-hub-signature-256"] ?? "" };
    expect((await send(receiveUrlAt(there.url, webhook), "{}", headers)).status).toBe(200);
    await here.api.patch(`/webhooks/${webhook.id}`, { verification: null });
    expect((await post(there, webhook)).status).toBe(200);
  });

  test("verification: an event marked unverified, and the next one verified again", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    await here.api.patch(`/webhooks/${webhook.id}`, { verification: { scheme: "none" } });
    const unverified = await post(there, webhook, "no secret of anybody's");
    expect(await readEvent(there.api, unverified.body.eventId)).toMatchObject({ verified: false, scheme: "none" });
    const change = { verification: null, secret: webhook.secret };
    expect((await here.api.patch(`/webhooks/${webhook.id}`, change)).status).toBe(200);
    expect(refused(await post(there, webhook, "no secret of anybody's"))).toEqual([401, "UNAUTHORIZED"]);
    const { eventId } = (await post(there, webhook)).body;
    expect(await readEvent(there.api, eventId)).toMatchObject({ verified: true, scheme: "hub-signature-256" });
  });

  test("disabled, then active again", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    await here.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
    expect(refused(await post(there, webhook))).toEqual([403, "FORBIDDEN"]);
    await here.api.patch(`/webhooks/${webhook.id}`, { status: "active" });
    expect((await post(there, webhook)).status).toBe(200);
    expect(await eventsOf(a.api, webhook)).toHaveLength(3);
  });

  test("deleted", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    await here.api.delete(`/webhooks/${webhook.id}`);
    expect(refused(await post(there, webhook))).toEqual([404, "NOT_FOUND"]);
    const { rows } = await a.pool.query("select 1 from webhooks where id = $1", [webhook.id]);
    expect(rows).toEqual([]);
  });

  test("allowlist", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    await here.api.patch(`/webhooks/${webhook.id}`, { events: ["invoice.*"] });
    const { body } = await post(there, webhook);
    expect(await readEvent(a.api, body.eventId)).toMatchObject({ type: "order.paid", status: "filtered" });
  });

  test("source", async () => {
    const [here, there] = replicas();
    const webhook = await createWarm();
    const changed = await here.api.patch(`/webhooks/${webhook.id}`, { source: "stripe" });
    expect(changed.status, JSON.stringify(changed.body)).toBe(200);
    const answer = await post(there, webhook);
    expect(answer.status).toBe(401);
    expect(answer.body.error.message).toContain("the source is stripe");
  });

  test("paused: the delivery waits", async () => {
    const [here, there] = replicas();
    // Nobody listens there; a delivery that waits never finds out.
    const webhook = await createWarm();
    await here.api.patch(`/webhooks/${webhook.id}`, { status: "paused", url: "http://127.0.0.1:9/" });
    const { body } = await post(there, webhook);
    const statusOf = async () => {
      const { rows } = await a.pool.query(
        `select d.status, q.held, q.attempts, q.lease_token from deliveries d
         join delivery_queue q on q.delivery_id = d.id where d.event_id = $1`,
        [body.eventId],
      );
      return rows[0];
    };
    const waits = { status: "paused", attempts: 0, lease_token: null };
    expect(await statusOf()).toMatchObject(waits);
    await eventually("held", async () => (await statusOf())?.held);
    expect(await statusOf()).toMatchObject(waits);
  });
});

test("counters and deliveries leave the version alone, so a busy webhook is not read again and again", async () => {
  const webhook = await createWarm({ url: "http://127.0.0.1:9/" });
  const versionOf = async () =>
    (await a.pool.query("select version from webhooks where id = $1", [webhook.id])).rows[0]?.version;
  const before = await versionOf();
  for (let n = 0; n < 5; n++) await post(a, webhook);
  expect(await versionOf()).toBe(before);
});
