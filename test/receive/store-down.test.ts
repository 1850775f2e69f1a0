/** The store fails under the receive path: 503 with Retry-After, never a 2xx for what is not committed, and it heals. */
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Answer, hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, receiveUrlAt, sendHub, stripeHeaders } from "./senders.ts";

/** Reaches the database directly, and shows what is in it. */
let owner: TestService;
/** Reaches it through the proxy. */
let service: TestService;
let proxy: PostgresProxy;
let destination: Destination;

beforeAll(async () => {
  [owner, destination] = await Promise.all([startService(), startDestination()]);
  proxy = await startPostgresProxy(owner.databaseUrl);
  service = await startService({ replicaOf: { ...owner, databaseUrl: proxy.url } });
});
beforeEach(() => {
  return async () => {
    proxy.restore();
    await ready();
  };
});
afterAll(async () => {
  await service?.stop();
  await proxy?.close();
  await Promise.all([owner?.stop(), destination?.close()]);
});

async function ready(): Promise<void> {
  await eventually("ready again", async () => (await fetch(`${service.url}/readyz`)).ok);
}

async function sendStripe(webhook: CreatedWebhook, id: string): Promise<Answer> {
  const body = JSON.stringify({ id, type: "invoice.paid" });
  return await send(receiveUrlAt(service.url, webhook), body, stripeHeaders(webhook.secret, body));
}

/** Ids of the webhook's events, over a connection of its own: a pool may hold one whose end it has not seen yet. */
async function recordedOf(webhook: CreatedWebhook): Promise<string[]> {
  const client = new Client({ connectionString: owner.databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string }>("select id from events where webhook_id = $1", [webhook.id]);
    return rows.map((row) => row.id);
  } finally {
    await client.end();
  }
}

function expectUnavailable(answer: Answer): void {
  expect(answer).toMatchObject({ status: 503, body: { error: { code: "SERVICE_UNAVAILABLE", details: [] } } });
  expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  // What went wrong is for the log.
  expect(answer.body.error.message).toBe("the store is unavailable; try again shortly");
}

test("down: 503 whether the webhook is remembered, known or unknown; up again: taken", async () => {
  const warm = await createWebhook(service.api);
  const cold = await createWebhook(owner.api);
  await sendHub(warm, '{"n":0}');
  proxy.cut();
  const post = (url: string, secret: string) => send(url, '{"n":1}', hubSignature(secret, '{"n":1}'));
  expectUnavailable(await post(warm.receiveUrl, warm.secret));
  expectUnavailable(await post(receiveUrlAt(service.url, cold), cold.secret));
  expectUnavailable(
    await post(receiveUrlAt(service.url, { ...cold, id: "0198f3a1-0000-7000-8000-000000000000" }), "x"),
  );
  // A refusal rests on a fresh read, too: the secret may have been rotated.
  expectUnavailable(await post(warm.receiveUrl, "another secret"));
  expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
  expect((await fetch(`${service.url}/healthz`)).status).toBe(200);
  expect(await eventsOf(owner.api, warm)).toHaveLength(1);

  proxy.restore();
  await ready();
  await sendHub(warm, '{"n":2}');
  expect((await post(receiveUrlAt(service.url, cold), cold.secret)).status).toBe(200);
  expect(await eventsOf(owner.api, warm)).toHaveLength(2);
});

test("cut under load: what was answered 200 is recorded, the rest is taken when sent again, nothing twice", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe" });
  const ids = Array.from({ length: 200 }, (_, n) => `evt_${n}`);
  let taken = 0;
  const answers = await Promise.all(
    ids.map(async (id) => {
      const answer = await sendStripe(webhook, id);
      taken += answer.status === 200 ? 1 : 0;
      if (taken === 20) proxy.cut();
      return answer;
    }),
  );
  expect(answers.filter((answer) => answer.status !== 200 && answer.status !== 503)).toEqual([]);
  const acknowledged = answers.filter((answer) => answer.status === 200).map((answer) => answer.body.eventId);
  const { rows } = await owner.pool.query<{ id: string }>("select id from events where webhook_id = $1", [webhook.id]);
  const recorded = new Set(rows.map((row) => row.id));
  expect(acknowledged.filter((id) => !recorded.has(id))).toEqual([]);

  proxy.restore();
  await ready();
  const again = await Promise.all(ids.map((id) => sendStripe(webhook, id)));
  expect(new Set(again.map((answer) => answer.status))).toEqual(new Set([200]));
  const after = await owner.pool.query("select 1 from events where webhook_id = $1", [webhook.id]);
  expect(after.rows).toHaveLength(ids.length);
});

test("committed, but the answer got lost: 503; sent again it is a duplicate, and it is delivered once", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe", url: destination.url });
  expect((await sendStripe(webhook, "evt_warm")).status).toBe(200);
  await destination.arrived(1);
  proxy.loseAnswerTo("evt_lost");
  expectUnavailable(await sendStripe(webhook, "evt_lost"));
  const recorded = (await eventsOf(owner.api, webhook)).find((event) => event.sourceEventId === "evt_lost");
  expect(recorded).toBeDefined();

  await ready();
  const again = await sendStripe(webhook, "evt_lost");
  expect(again).toMatchObject({ status: 200, body: { duplicate: true, eventId: recorded?.id } });
  // The delivery was committed as leased to a worker that never heard of it: it goes out when the lease has ended.
  expect(destination.arrivals).toHaveLength(1);
  await owner.pool.query("update delivery_queue set due_at = now() where event_id = $1", [recorded?.id]);
  owner.app.worker.wake();
  const arrivals = await destination.arrived(2);
  expect(arrivals[1]?.headers["webhook-id"]).toBe(recorded?.id);
});

test("every connection ended by the server under load: nothing acknowledged is lost, and the next events are taken", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe" });
  const sending = Array.from({ length: 100 }, (_, n) => sendStripe(webhook, `evt_${n}`));
  await Promise.race(sending);
  await owner.pool.query(
    `select pg_terminate_backend(pid, 10000) from pg_stat_activity
     where datname = current_database() and application_name = 'alumia-hot' and pid <> pg_backend_pid()`,
  );
  const answers = await Promise.all(sending);
  expect(answers.filter((answer) => answer.status !== 200 && answer.status !== 503)).toEqual([]);
  const acknowledged = answers.filter((answer) => answer.status === 200).map((answer) => answer.body.eventId);
  await ready();
  const recorded = new Set(await recordedOf(webhook));
  expect(acknowledged.filter((id) => !recorded.has(id))).toEqual([]);
  expect((await sendStripe(webhook, "evt_next")).status).toBe(200);
});

test("a table that cannot be written to: 503, nothing recorded, not even the key that marks repeats", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe" });
  expect((await sendStripe(webhook, "evt_1")).status).toBe(200);
  await owner.pool.query("alter table events add constraint closed check (false) not valid");
  try {
    expectUnavailable(await sendStripe(webhook, "evt_2"));
  } finally {
    await owner.pool.query("alter table events drop constraint closed");
  }
  expect(await sendStripe(webhook, "evt_2")).toMatchObject({ status: 200, body: { duplicate: false } });
  expect(await eventsOf(owner.api, webhook)).toHaveLength(2);
});
