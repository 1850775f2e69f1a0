/** Each thing that can be amiss and may be mended: it is found, alone, and nothing is left of it once it is mended. */
import { expect, test } from "vitest";
import type { FindingKind } from "../../src/store/doctor/findings.ts";
import {
  deliver,
  examineNow,
  insertHealthy,
  insertKey,
  leaseToken,
  pool,
  rowsOf,
  stateOf,
  useStore,
  webhook,
} from "./doctor-scene.ts";
import { DAY_MS, insertEvent, insertWebhook } from "./history.ts";

useStore();

interface Fault {
  readonly kind: FindingKind;
  /** Makes it; resolves to the id that the finding names. */
  readonly make: () => Promise<string>;
  /** Rows after it was mended. */
  readonly after?: (id: string) => Promise<unknown>;
  readonly expected?: unknown;
}

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
    "a lane that is missing is made",
    {
      kind: "lane_missing",
      make: async () => {
        const id = await deliver({ status: "pending", queued: {} });
        await pool.query("update delivery_queue set laned = true where delivery_id = $1", [id]);
        return webhook.id;
      },
      after: (id) => rowsOf("select next_at <= now() as due from lanes where destination_id = $1", [id]),
      expected: [{ due: true }],
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
