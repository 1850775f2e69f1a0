/** The doctor: what it takes for healthy, what it tells and leaves alone, and how it goes about it. */
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
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
import { DAY_MS, insertEvent } from "./history.ts";

useStore();

test("a store with deliveries in every state has nothing amiss", async () => {
  await insertHealthy();
  expect(await examineNow()).toEqual([]);
  expect(await examineNow({ mend: true })).toEqual([]);
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

  test("of a lane that nobody serves, one delivery is told for all", async () => {
    const ids = await Promise.all([0, 1].map(() => deliver({ status: "pending", queued: { dueInMs: -120_000 } })));
    await pool.query("update delivery_queue set laned = true");
    const lane = "insert into lanes (destination_id, organization_id, next_at) values ($1, $2, now() - $3::interval)";
    await pool.query(lane, [webhook.id, webhook.organizationId, "90 s"]);
    const [finding] = await examineNow({ mend: true });
    expect(finding).toMatchObject({ kind: "overdue", count: 1, mended: 0 });
    expect(ids).toContain(finding?.examples[0]);
    await pool.query("update lanes set next_at = now()");
    expect(await examineNow()).toEqual([]);
  });

  test("a bulk job that is due for long is told, unless it goes on", async () => {
    const id = randomUUID();
    await pool.query(
      `insert into bulk_jobs (id, organization_id, action, filter, state, rate_per_second, matched, next_at, created_at,
         updated_at)
       values ($1, $2, 'cancel', '{}', 'running', 1, 2, now() - interval '1 h', now(), now())`,
      [id, webhook.organizationId],
    );
    expect(await examineNow({ mend: true })).toEqual([{ kind: "job_stuck", count: 1, mended: 0, examples: [id] }]);
    const wait = async () => void (await pool.query("update bulk_jobs set position = position + 1"));
    expect(await examineNow({ wait })).toEqual([]);
    await pool.query("update bulk_jobs set state = 'paused'");
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
