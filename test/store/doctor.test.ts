/** The doctor: finds each thing that can be amiss, mends what is safe to mend, and leaves the rest alone. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import type { ExaminationOptions } from "../../src/store/doctor/examination.ts";
import type { FindingKind } from "../../src/store/doctor/findings.ts";
import { HISTORY } from "../../src/store/partitions.ts";
import { examineStore } from "../support/doctor.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import {
  DAY_MS,
  type DeliveryOptions,
  insertDelivery,
  insertEvent,
  insertWebhook,
  type TestWebhook,
} from "./history.ts";

/** Pages of three rows, so that every walk has several. */
const limits = { ...LIMITS, doctorBatchRows: 3, doctorOverdueMs: 60_000, doctorRecheckMs: 1 };
let database: TestDatabase;
let pool: Pool;
let webhook: TestWebhook;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});
beforeEach(async () => {
  const tables = ["delivery_queue", "event_dedupe", "purges", "webhooks", ...HISTORY.map(({ table }) => table)];
  for (const table of tables) await pool.query(`delete from ${table}`);
  webhook = await insertWebhook(pool);
});

const examineNow = (options: Partial<ExaminationOptions> = {}) => examineStore(pool, { limits, ...options });
const rowsOf = async (text: string, values: unknown[] = []) => (await pool.query(text, values)).rows;
const leaseToken = randomUUID();

/** A delivery of now and its event. */
async function deliver(options: DeliveryOptions = {}): Promise<string> {
  const now = Date.now();
  return await insertDelivery(pool, webhook, await insertEvent(pool, webhook, now), now, options);
}

/** What must not be taken for a fault. */
const HEALTHY: readonly DeliveryOptions[] = [
  { status: "succeeded", attempts: 1 },
  { status: "failed", attempts: 3 },
  { status: "canceled" },
  { status: "pending", queued: {} },
  { status: "pending", attempts: 2, queued: { dueInMs: 3_600_000 } },
  { status: "paused", queued: {} },
  { status: "delivering", queued: { leaseToken, dueInMs: 30_000 } },
  { status: "delivering", attempts: 2, queued: { leaseToken, dueInMs: 30_000 } },
];

async function insertHealthy(): Promise<void> {
  for (const options of HEALTHY) await deliver(options);
  const active = webhook;
  webhook = await insertWebhook(pool);
  await pool.query("update webhooks set status = 'paused' where id = $1", [webhook.id]);
  await deliver({ status: "paused", queued: { held: true, dueInMs: -3_600_000 } });
  webhook = active;
}

test("a store with deliveries in every state has nothing amiss", async () => {
  await insertHealthy();
  expect(await examineNow()).toEqual([]);
  expect(await examineNow({ mend: true })).toEqual([]);
});

interface Fault {
  readonly kind: FindingKind;
  /** Makes it; resolves to the id that the finding names. */
  readonly make: () => Promise<string>;
  /** Rows after it was mended. */
  readonly after?: (id: string) => Promise<unknown>;
  readonly expected?: unknown;
}

const stateOf = (id: string) =>
  rowsOf(
    `select d.status, d.attempt_count as attempts, q.attempts as started, q.held, q.lease_token is not null as leased
     from deliveries d left join delivery_queue q on q.delivery_id = d.id where d.id = $1`,
    [id],
  );

const MENDED: readonly [string, Fault][] = [
  [
    "an unfinished delivery that is not queued is queued again",
    {
      kind: "delivery_without_queue",
      make: () => deliver({ status: "delivering", attempts: 2 }),
      after: stateOf,
      expected: [{ status: "pending", attempts: 2, started: 2, held: false, leased: false }],
    },
  ],
  [
    "a queue row whose delivery is gone gets it back",
    {
      kind: "queue_without_delivery",
      make: async () => {
        const id = await deliver({ status: "pending", queued: { dueInMs: 60_000 } });
        await pool.query("delete from deliveries where id = $1", [id]);
        return id;
      },
      after: stateOf,
      expected: [{ status: "pending", attempts: 0, started: 0, held: false, leased: false }],
    },
  ],
  [
    "a queue row whose delivery and event are gone goes",
    {
      kind: "queue_without_delivery",
      make: async () => {
        const id = await deliver({ status: "pending", queued: { dueInMs: 60_000 } });
        await pool.query(
          "with d as (delete from deliveries where id = $1 returning event_id) delete from events using d where id = event_id",
          [id],
        );
        return id;
      },
      after: (id) => rowsOf("select 1 from delivery_queue where delivery_id = $1", [id]),
      expected: [],
    },
  ],
  [
    "a held delivery that does not show it is shown as paused",
    {
      kind: "queue_state",
      make: async () => {
        const id = await deliver({ status: "pending", queued: { held: true } });
        await pool.query("update webhooks set forwarding_stopped_at = now() where id = $1", [webhook.id]);
        return id;
      },
      after: stateOf,
      expected: [{ status: "paused", attempts: 0, started: 0, held: true, leased: false }],
    },
  ],
  [
    "a finished delivery that is still queued is shown as owed",
    {
      kind: "queue_state",
      make: () => deliver({ status: "failed", attempts: 1, queued: {} }),
      after: stateOf,
      expected: [{ status: "pending", attempts: 1, started: 1, held: false, leased: false }],
    },
  ],
  [
    "a number of attempts in the queue that is taken already is raised",
    {
      kind: "queue_attempts",
      make: async () => {
        const id = await deliver({ status: "pending", attempts: 3, queued: {} });
        await pool.query("update delivery_queue set attempts = 1 where delivery_id = $1", [id]);
        return id;
      },
      after: stateOf,
      expected: [{ status: "pending", attempts: 3, started: 3, held: false, leased: false }],
    },
  ],
  [
    "a wrong number of attempts of a finished delivery is corrected",
    {
      kind: "attempt_count",
      make: async () => {
        const id = await deliver({ status: "failed", attempts: 3 });
        await pool.query("update deliveries set attempt_count = 5 where id = $1", [id]);
        return id;
      },
      after: stateOf,
      expected: [{ status: "failed", attempts: 3, started: null, held: null, leased: false }],
    },
  ],
  [
    "a lease without an end gets one",
    {
      kind: "lease_too_long",
      make: () => deliver({ status: "delivering", queued: { leaseToken, dueInMs: DAY_MS } }),
      after: (id) =>
        rowsOf(
          "select due_at < now() + interval '61 s' and due_at > now() as soon from delivery_queue where delivery_id = $1",
          [id],
        ),
      expected: [{ soon: true }],
    },
  ],
  [
    "a count of deliveries that is too low is raised",
    {
      kind: "counters",
      make: async () => {
        await deliver({ attempts: 1 });
        await pool.query("update webhook_counters set delivery_count = 0 where webhook_id = $1", [webhook.id]);
        return webhook.id;
      },
      after: (id) => rowsOf("select delivery_count::int as count from webhook_counters where webhook_id = $1", [id]),
      // With those of the healthy ones.
      expected: [{ count: 5 }],
    },
  ],
  [
    "a count of deliveries that is too high is lowered where the whole history is kept",
    {
      kind: "counters",
      make: async () => {
        await pool.query("update webhook_counters set delivery_count = 9 where webhook_id = $1", [webhook.id]);
        return webhook.id;
      },
      after: (id) => rowsOf("select delivery_count::int as count from webhook_counters where webhook_id = $1", [id]),
      expected: [{ count: 4 }],
    },
  ],
  [
    "a key of an event that is not recorded is forgotten",
    {
      kind: "dedupe_without_event",
      make: async () => await insertKey(await insertEvent(pool, webhook, Date.now()), { lose: true }),
      after: () => rowsOf("select 1 from event_dedupe"),
      expected: [],
    },
  ],
  [
    "a purge that nobody goes on with is done",
    {
      kind: "purge_stuck",
      make: async () => {
        const gone = await insertWebhook(pool);
        await insertEvent(pool, gone, Date.now());
        await pool.query("delete from webhooks where id = $1", [gone.id]);
        await pool.query(
          "insert into purges (webhook_id, organization_id, deleted_at, due_at) values ($1, $2, now(), now() - interval '1 h')",
          [gone.id, gone.organizationId],
        );
        return gone.id;
      },
      after: (id) => rowsOf("select 1 from events where webhook_id = $1", [id]),
      expected: [],
    },
  ],
  [
    "a release that nobody goes on with is done",
    {
      kind: "release_stuck",
      make: async () => {
        await deliver({ status: "paused", queued: { held: true } });
        await pool.query("insert into releases (webhook_id, organization_id) values ($1, $2)", [
          webhook.id,
          webhook.organizationId,
        ]);
        return webhook.id;
      },
      after: () => rowsOf("select 1 from delivery_queue where held and webhook_id = $1", [webhook.id]),
      expected: [],
    },
  ],
  [
    "a missing partition is made",
    {
      kind: "partition_missing",
      make: async () => {
        const day = new Date(Date.now() + 3 * DAY_MS).toISOString().slice(0, 10);
        await pool.query(`drop table deliveries_p${day.replaceAll("-", "")}`);
        return `deliveries ${day}`;
      },
    },
  ],
  [
    "rows in a default partition move to one of their own",
    {
      kind: "default_rows",
      make: async () => {
        await insertEvent(pool, webhook, Date.now() - 5 * DAY_MS);
        return "events_default";
      },
    },
  ],
];

async function insertKey(eventId: string, { lose = false, hash = null as string | null } = {}): Promise<string> {
  await pool.query(
    `insert into event_dedupe (webhook_id, key, organization_id, event_id, body_hash, expires_at)
     values ($1, sha256($2::bytea), $3, $4, $5, now() + interval '1 h')`,
    [webhook.id, eventId, webhook.organizationId, eventId, hash],
  );
  if (lose) await pool.query("delete from events where id = $1", [eventId]);
  return eventId;
}

test.each(MENDED)("%s", async (_title, { kind, make, after, expected }) => {
  await insertHealthy();
  const id = await make();
  const found = { kind, count: 1, mended: 0, examples: [id] };
  expect(await examineNow()).toEqual([found]);
  expect(await examineNow({ mend: true })).toEqual([{ ...found, mended: 1 }]);
  if (after) expect(await after(id)).toEqual(expected);
  expect(await examineNow()).toEqual([]);
});

test("held deliveries of an active webhook get the note that releases them", async () => {
  const id = await deliver({ status: "paused", queued: { held: true } });
  const found = { kind: "held_without_release", count: 1, mended: 0, examples: [id] };
  expect(await examineNow()).toEqual([found]);
  const released = async () => {
    await pool.query("delete from releases");
    await pool.query("update delivery_queue set held = false");
    await pool.query("update deliveries set status = 'pending' where id = $1", [id]);
  };
  // The note is late as soon as it is there; by the second look those whose work it is have done it.
  expect(await examineNow({ mend: true, wait: released })).toEqual([{ ...found, mended: 1 }]);
  expect(await examineNow()).toEqual([]);
});

describe("what only a person can judge, or what nobody may touch", () => {
  test("a gap between attempts is told, and left", async () => {
    const id = await deliver({ status: "failed", attempts: 3 });
    await pool.query("delete from delivery_attempts where delivery_id = $1 and number = 2", [id]);
    const found = [{ kind: "attempt_gap", count: 1, mended: 0, examples: [id] }];
    expect(await examineNow({ mend: true })).toEqual(found);
    expect(await examineNow()).toEqual(found);
  });

  test("what is overdue is told while no worker is at work, and not while one is", async () => {
    const id = await deliver({ status: "pending", queued: { dueInMs: -120_000 } });
    const lost = await deliver({ status: "delivering", queued: { leaseToken, dueInMs: -100_000 } });
    const found = [{ kind: "overdue", count: 2, mended: 0, examples: [id, lost] }];
    expect(await examineNow({ mend: true })).toEqual(found);
    await deliver({ status: "delivering", queued: { leaseToken, dueInMs: 30_000 } });
    expect(await examineNow()).toEqual([]);
  });

  test("what has moved before the second look is no finding", async () => {
    await deliver({ status: "pending", queued: { dueInMs: -120_000 } });
    const asked: unknown[] = [];
    const wait = async (ms: number, kinds: readonly FindingKind[]) => {
      asked.push([ms, kinds]);
      await pool.query("update delivery_queue set due_at = now()");
    };
    expect(await examineNow({ wait })).toEqual([]);
    expect(asked).toEqual([[1, ["overdue"]]]);
  });

  test("the number of attempts of a delivery that a worker holds is told, and left to it", async () => {
    const id = await deliver({ status: "delivering", attempts: 1, queued: { leaseToken, dueInMs: 30_000 } });
    await pool.query("update delivery_queue set attempts = 1 where delivery_id = $1", [id]);
    expect(await examineNow({ mend: true })).toEqual([{ kind: "queue_attempts", count: 1, mended: 0, examples: [id] }]);
    expect(await stateOf(id)).toMatchObject([{ attempts: 1, started: 1, leased: true }]);
  });

  test("keys that only flag, keys of history that was dropped, and ended ones are none", async () => {
    await insertKey(await insertEvent(pool, webhook, Date.now()), { lose: true, hash: "" });
    await insertKey(await insertEvent(pool, webhook, Date.now() - 31 * DAY_MS), { lose: true });
    await insertKey(await insertEvent(pool, webhook, Date.now()), { lose: true });
    await pool.query("update event_dedupe set expires_at = now() where event_id >= $1 and body_hash is null", [
      (await rowsOf("select max(event_id::text) as id from event_dedupe"))[0].id,
    ]);
    expect(await examineNow()).toEqual([]);
  });

  test("a webhook whose history was dropped in part may have counted more", async () => {
    await deliver({ attempts: 1 });
    await pool.query("update webhook_counters set delivery_count = 50 where webhook_id = $1", [webhook.id]);
    await pool.query("update webhooks set created_at = now() - interval '90 d'");
    expect(await examineNow()).toEqual([]);
  });

  test("what a deleted webhook has left is the purge's", async () => {
    await deliver({ status: "delivering", attempts: 2 });
    const id = await deliver({ status: "pending", queued: {} });
    await pool.query("delete from deliveries where id = $1", [id]);
    await insertKey(await insertEvent(pool, webhook, Date.now()), { lose: true });
    await pool.query("delete from webhooks where id = $1", [webhook.id]);
    expect(await examineNow({ mend: true })).toEqual([]);
  });
});

test("many findings are counted, some are named", async () => {
  for (let n = 0; n < 8; n++) await deliver({ status: "pending" });
  const [finding] = await examineNow({ mend: true });
  expect(finding).toMatchObject({ kind: "delivery_without_queue", count: 8, mended: 8 });
  expect(finding?.examples).toHaveLength(5);
});

test("an examination that is stopped ends after the page under way", async () => {
  for (let n = 0; n < 8; n++) await deliver({ status: "pending" });
  const stop = new AbortController();
  const rest = async () => stop.abort();
  expect(await examineNow({ rest, signal: stop.signal })).toEqual([]);
});
