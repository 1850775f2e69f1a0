/** Traces on their way to the store: how many are held, how often they are written, and that nobody waits for them. */
import type { Pool } from "pg";
import { expect, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import { type Trace, type TraceLimits, Traces } from "../../src/core/traces.ts";
import { createLogger } from "../../src/observe/logger.ts";
import { eventually } from "../support/eventually.ts";

interface Row {
  readonly webhook_id: string;
  readonly check_name: string;
  readonly client: string;
  readonly reason: string;
  readonly further: number;
}

/** Traces over a pool whose writes end at once, unless the test holds them. */
function harness(limits: Partial<TraceLimits> = {}) {
  const writes: { rows: Row[]; atMs: number }[] = [];
  let held: Promise<void> | undefined;
  let failure: Error | undefined;
  const query = async ({ values: [rows] }: { values: [string] }) => {
    writes.push({ rows: JSON.parse(rows) as Row[], atMs: performance.now() });
    await held;
    if (failure) throw failure;
  };
  const traces = new Traces({
    pool: { query } as unknown as Pool,
    logger: createLogger("silent"),
    limits: { ...LIMITS, traceIntervalMs: 20, traceBatchIntervalMs: 5, ...limits },
  });
  let made = 0;
  const leave = (change: Partial<Trace> = {}) => {
    const trace = { ...TRACE, ...change };
    traces.leave(trace, () => {
      made += 1;
      return trace;
    });
  };
  return {
    traces,
    writes,
    leave,
    made: () => made,
    hold: (until: Promise<void>) => {
      held = until;
    },
    fail: (error: Error | undefined) => {
      failure = error;
    },
    rows: () => writes.flatMap((write) => write.rows),
    requests: () => writes.flatMap((write) => write.rows).reduce((sum, row) => sum + 1 + row.further, 0),
  };
}

const TRACE: Trace = {
  organizationId: "o",
  webhookId: "w",
  check: "signature",
  client: "a",
  receivedAtMs: 0,
  statusCode: 401,
  reason: "r",
  method: "POST",
  remoteAddress: "a",
  headers: [["name", "value"]],
  body: Buffer.alloc(100),
  bodyTruncated: false,
  size: 100,
};

test("the first is written at once, those of the next interval together and counted", async () => {
  const { leave, writes, made, requests, traces } = harness({ traceIntervalMs: 50 });
  leave();
  await eventually("written", async () => writes.length === 1);
  for (let n = 0; n < 1_000; n++) leave();
  expect(made()).toBe(2);
  await eventually("written", async () => writes.length === 2);
  expect(writes[1]?.rows).toMatchObject([{ further: 999 }]);
  expect((writes[1]?.atMs ?? 0) - (writes[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(49);
  expect([requests(), traces.bytes]).toEqual([1_001, 0]);
});

test("checks and clients are told apart, up to half of the slots", async () => {
  const { leave, rows, traces } = harness({ traceSlots: 4 });
  leave({ check: "timestamp", reason: "rare" });
  for (let n = 0; n < 30; n++) leave({ client: String(n % 3), reason: String(n) });
  await traces.stop();
  expect(rows().map(({ check_name, client, reason, further }) => [check_name, client, reason, further])).toEqual([
    ["timestamp", "a", "rare", 0],
    ["signature", "0", "0", 9],
    ["signature", "1", "1", 19],
  ]);
});

test("webhooks share a write of bounded size, and writes are spaced", async () => {
  const { leave, writes, requests, traces } = harness({ traceBatchRowsMax: 10, traceBatchIntervalMs: 15 });
  for (let n = 0; n < 35; n++) leave({ webhookId: `w${n}` });
  await eventually("written", async () => requests() === 35);
  expect(writes.map((write) => write.rows.length)).toEqual([10, 10, 10, 5]);
  // A write may begin late, but the next one does not make up for it.
  expect((writes.at(-1)?.atMs ?? 0) - (writes[0]?.atMs ?? 0)).toBeGreaterThan(2 * 15);
  await traces.stop();
});

test("what is over the bounds of memory is not held", async () => {
  const few = harness({ traceWebhooksMax: 5 });
  for (let n = 0; n < 100; n++) few.leave({ webhookId: `w${n}` });
  expect(few.made()).toBe(5);
  await few.traces.stop();
  expect(few.requests()).toBe(5);

  const small = harness({ traceBytesMax: 2_000 });
  for (let n = 0; n < 100; n++) small.leave({ webhookId: `w${n}`, body: Buffer.alloc(1_000) });
  expect([small.made(), small.traces.bytes < 4_000]).toEqual([2, true]);
  small.leave({ webhookId: "w0", client: "b" });
  await small.traces.stop();
  expect(small.rows().map(({ webhook_id, further }) => [webhook_id, further])).toEqual([
    ["w0", 1],
    ["w1", 0],
  ]);
});

test("webhooks that are quiet again are forgotten", async () => {
  const { leave, made, traces } = harness({ traceWebhooksMax: 3 });
  for (let n = 0; n < 4; n++) leave({ webhookId: `w${n}` });
  expect(made()).toBe(3);
  await eventually("there is room again", async () => {
    leave({ webhookId: "new" });
    return made() === 4;
  });
  await traces.stop();
});

test("a slow store is waited for by nobody, and a failing one costs the traces alone", async () => {
  const { leave, hold, fail, writes, rows, traces } = harness();
  const slow = Promise.withResolvers<void>();
  hold(slow.promise);
  leave({ reason: "first" });
  await eventually("being written", async () => writes.length === 1);
  for (let n = 0; n < 10; n++) leave({ reason: "second", webhookId: `w${n}` });
  expect(writes).toHaveLength(1);
  fail(new Error("down"));
  slow.resolve();
  await eventually("tried", async () => writes.length > 1);
  fail(undefined);
  leave({ reason: "third" });
  await traces.stop();
  expect(rows().map((row) => row.reason)).toContain("third");
  expect(traces.bytes).toBe(0);
});

test("a stop writes what waits and takes no more", async () => {
  const { leave, requests, traces } = harness({ traceIntervalMs: 60_000, traceBatchRowsMax: 2 });
  for (let n = 0; n < 9; n++) leave({ webhookId: `w${n}` });
  await eventually("some are written", async () => requests() > 0);
  for (let n = 0; n < 9; n++) leave({ webhookId: `w${n}`, client: "b" });
  await traces.stop();
  expect(requests()).toBe(18);
  leave();
  await traces.stop();
  expect([requests(), traces.bytes]).toEqual([18, 0]);
});
