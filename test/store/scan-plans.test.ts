/**
 * What a look through a list reads. Filters that have an index read little, whatever there is of others, and whatever
 * the planner knows of it; and no step reads much more than what it examines.
 */
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPool as createStorePool } from "../../src/store/pool.ts";
import { type DeliveryFilter, stepThroughDeliveries } from "../../src/store/sql/delivery-scan.ts";
import { type EventFilter, stepThroughEvents } from "../../src/store/sql/event-scan.ts";
import type { StepBounds } from "../../src/store/sql/scan.ts";
import { connectionTo } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { DAY_MS, idAt, insertDelivery, insertEvent, insertWebhook, type TestWebhook } from "./history.ts";

const MANY = 40_000;
const WEBHOOKS = 50;
/** Pages of the store that a look may read: some for each of its rows, and to go down the indexes of every partition. */
const PAGES_MAX = 1_000;
const EVENT_PAGES_MAX = 250;
const FIRST: StepBounds = { after: null, rows: 51, wanted: 51 };
let database: TestDatabase;
let pool: Pool;
/**
 * A webhook with much, and one of another organization with little, all of it of the day before: so the planner takes
 * today's rows for anybody's.
 */
let busy: TestWebhook;
let quiet: TestWebhook;
let eventId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createStorePool(connectionTo(database), "scan", () => {});
  [busy, quiet] = [await insertWebhook(pool), await insertWebhook(pool)];
  await pool.query(
    `insert into webhooks (id, organization_id, name, source, events, status, created_at, updated_at)
     select gen_random_uuid(), $1, 'w', 'custom', '{}', 'active', now(), now() from generate_series(1, $2)`,
    [quiet.organizationId, WEBHOOKS],
  );
  const todayMs = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const beforeMs = todayMs - DAY_MS / 2;
  eventId = await insertEvent(pool, quiet, beforeMs);
  await insertDelivery(pool, quiet, eventId, beforeMs, { status: "failed", attempts: 1 });
  await insertDelivery(pool, quiet, eventId, beforeMs + 1, { status: "pending", queued: { dueInMs: 3_600_000 } });
  await insertMany(todayMs);
  await pool.query("analyze");
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

/** Events that succeeded, and a tenth as many that wait. */
async function insertMany(startMs: number): Promise<void> {
  const ids = Array.from({ length: MANY }, (_, n) => idAt(startMs + n));
  await pool.query(
    `insert into events (id, organization_id, webhook_id, type, source_event_id_reused, status, verified, scheme, synthetic,
       size, received_at, headers, body)
     select id, $2, $3, 'order.paid', false, 'received', true, 'hub', false, 2, now(), '[["a","b"]]', '{}'
     from unnest($1::uuid[]) id`,
    [ids, busy.organizationId, busy.id],
  );
  await pool.query(
    `insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status,
       created_at, updated_at)
     select id, $2, $3, $3, id, 'order.paid', 'https://example.com/', case n % 10 when 0 then 'pending' else 'succeeded' end,
       now(), now() from unnest($1::uuid[]) with ordinality u (id, n)`,
    [ids, busy.organizationId, busy.id],
  );
  await pool.query(
    `insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at)
     select id, organization_id, webhook_id, destination_id, event_id, now() + interval '1 hour'
     from deliveries where status = 'pending' and webhook_id = $1`,
    [busy.id],
  );
}

/** Pages read by the statement that `step` sends, when it is sent again. */
async function pagesOf(step: (pool: Pool) => Promise<unknown>): Promise<number> {
  let sent: [string, unknown[]] = ["", []];
  const spy = {
    query: (text: string, values: unknown[]) => {
      sent = [text, values];
      return pool.query(text, values);
    },
  };
  await step(spy as unknown as Pool);
  const { rows } = await pool.query(`explain (analyze, buffers, format json) ${sent[0]}`, sent[1]);
  const { Plan: plan } = rows[0]["QUERY PLAN"][0];
  return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
}

const deliveriesOf = ({ id, organizationId }: TestWebhook, more: Partial<DeliveryFilter> = {}): DeliveryFilter => ({
  ...{
    organizationId,
    webhookId: id,
    statuses: [],
    type: null,
    errorCode: null,
    eventId: null,
    from: null,
    before: null,
  },
  ...more,
});

const eventsOf = ({ id, organizationId }: TestWebhook, more: Partial<EventFilter> = {}): EventFilter => ({
  ...{ organizationId, webhookId: id, statuses: [], type: null, verified: null, sourceEventId: null, pattern: null },
  ...{ from: null, before: null },
  ...more,
});

const LOOKS: readonly (readonly [string, () => Partial<DeliveryFilter>])[] = [
  ["everything", () => ({})],
  ["failed", () => ({ statuses: ["failed"] })],
  ["pending", () => ({ statuses: ["pending"] })],
  ["failed and pending", () => ({ statuses: ["failed", "pending"] })],
  ["with an error, failed", () => ({ statuses: ["failed"], errorCode: "timeout" })],
  ["with an error, pending", () => ({ statuses: ["pending"], errorCode: "timeout" })],
  ["of one event", () => ({ eventId })],
  ["before a time", () => ({ before: idAt(Math.floor(Date.now() / DAY_MS) * DAY_MS + MANY / 2) })],
];

describe.each(["quiet", "busy"])("deliveries of the %s webhook", (which) => {
  const webhook = () => (which === "quiet" ? quiet : busy);

  test.each(LOOKS)("%s: few pages", async (_what, filter) => {
    const find = (more: Partial<DeliveryFilter>) =>
      pagesOf((spy) => stepThroughDeliveries(spy, deliveriesOf(webhook(), { ...filter(), ...more }), FIRST));
    expect(await find({})).toBeLessThan(PAGES_MAX);
    // The quiet organization has many webhooks, whose deliveries are put together.
    expect(await find({ webhookId: null })).toBeLessThan(PAGES_MAX + WEBHOOKS * 20);
  });

  test("events: few pages", async () => {
    for (const webhookId of [webhook().id, null]) {
      const filter = eventsOf(webhook(), { webhookId });
      const pages = await pagesOf((spy) => stepThroughEvents(spy, filter, { ...FIRST, bytes: 1 }));
      expect(pages).toBeLessThan(EVENT_PAGES_MAX);
    }
  });
});

test("a step that finds nothing reads what it examines, and not the rest", async () => {
  const bounds = { ...FIRST, rows: 1_000 };
  for (const webhookId of [busy.id, null]) {
    const deliveries = deliveriesOf(busy, { webhookId, type: "none" });
    expect(await pagesOf((spy) => stepThroughDeliveries(spy, deliveries, bounds))).toBeLessThan(2_000);
    const events = eventsOf(busy, { webhookId, pattern: "nowhere" });
    // Going down to each event once more, to look into it.
    expect(await pagesOf((spy) => stepThroughEvents(spy, events, { ...bounds, bytes: 2 ** 30 }))).toBeLessThan(12_000);
  }
});
