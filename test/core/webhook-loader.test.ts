/** Look-ups of webhooks: coalesced, never older than the question, forgotten when they failed. */
import type { Pool } from "pg";
import { expect, test } from "vitest";
import { WebhookLoader } from "../../src/core/webhook-loader.ts";
import { AppError } from "../../src/errors.ts";
import { eventually } from "../support/eventually.ts";

const idOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

/** A loader of what `rows` says exists, over a pool whose queries end when the test says so. */
function harness(limits: { entriesMax?: number; waitingMax?: number; intervalMs?: number } = {}) {
  const queries: { ids: string[]; atMs: number; answer: () => void; fail: (error: Error) => void }[] = [];
  const existing = new Map<string, string>();
  const query = ({ values: [ids] }: { values: [string[]] }) =>
    new Promise((resolve, reject) => {
      // What is read is what there was when the query began.
      const rows = ids.filter((id) => existing.has(id)).map((id) => ({ id, name: existing.get(id), secrets: [] }));
      queries.push({ ids, atMs: performance.now(), answer: () => resolve({ rows }), fail: reject });
    });
  const loader = new WebhookLoader({
    pool: { query } as unknown as Pool,
    prepare: (record) => record.name,
    entriesMax: limits.entriesMax ?? 100,
    batchMax: 500,
    waitingMax: limits.waitingMax ?? 10_000,
    intervalMs: limits.intervalMs ?? 0,
  });
  const answer = async (index: number) => {
    const found = queries[index];
    if (!found) throw new Error(`no query ${index}`);
    found.answer();
    await turn();
  };
  return { loader, queries, existing, answer };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a thousand ids asked for during one query cost two more", async () => {
  const { loader, queries, answer } = harness();
  const first = loader.get(idOf(0));
  const rest = Array.from({ length: 1_000 }, (_, n) => loader.get(idOf(n + 1)));
  await answer(0);
  expect(queries.map((query) => query.ids.length)).toEqual([1, 500]);
  await answer(1);
  await answer(2);
  expect(queries.map((query) => query.ids.length)).toEqual([1, 500, 500]);
  expect(new Set(await Promise.all([first, ...rest]))).toEqual(new Set([undefined]));
});

test("one id asked for many times is asked for once", async () => {
  const { loader, queries, existing, answer } = harness();
  existing.set(idOf(1), "one");
  const first = loader.get(idOf(1));
  const rest = Array.from({ length: 50 }, () => loader.refresh(idOf(1)));
  await answer(0);
  await answer(1);
  expect(queries.map((query) => query.ids)).toEqual([[idOf(1)], [idOf(1)]]);
  expect(new Set(await Promise.all([first, ...rest]))).toEqual(new Set(["one"]));
});

test("a fresh read never answers with what a query found that began before it", async () => {
  const { loader, existing, answer } = harness();
  existing.set(idOf(1), "old");
  const before = loader.refresh(idOf(1));
  existing.set(idOf(1), "new");
  const after = loader.refresh(idOf(1));
  await answer(0);
  await answer(1);
  expect(await Promise.all([before, after])).toEqual(["old", "new"]);
});

test("found webhooks are remembered, missing ones are not, deleted ones are forgotten", async () => {
  const { loader, queries, existing, answer } = harness();
  const missing = loader.get(idOf(1));
  await answer(0);
  expect(await missing).toBeUndefined();
  existing.set(idOf(1), "one");
  const found = loader.get(idOf(1));
  await answer(1);
  expect(await found).toBe("one");
  expect(await loader.get(idOf(1))).toBe("one");
  expect(queries).toHaveLength(2);
  existing.delete(idOf(1));
  const gone = loader.refresh(idOf(1));
  await answer(2);
  expect(await gone).toBeUndefined();
  const again = loader.get(idOf(1));
  await answer(3);
  expect(await again).toBeUndefined();
});

test("the oldest webhook makes room for the newest", async () => {
  const { loader, queries, existing, answer } = harness({ entriesMax: 2 });
  for (const n of [1, 2, 3]) {
    existing.set(idOf(n), `${n}`);
    const found = loader.get(idOf(n));
    await answer(n - 1);
    await found;
  }
  expect(await Promise.all([loader.get(idOf(2)), loader.get(idOf(3))])).toEqual(["2", "3"]);
  expect(queries).toHaveLength(3);
  const evicted = loader.get(idOf(1));
  await answer(3);
  expect(await evicted).toBe("1");
});

test("a query that fails is SERVICE_UNAVAILABLE for those who asked, and the next one runs", async () => {
  const { loader, queries, existing, answer } = harness();
  existing.set(idOf(1), "one");
  const failed = loader.get(idOf(1)).catch((error: unknown) => error);
  const next = loader.get(idOf(1));
  const cause = new Error("connection lost");
  queries[0]?.fail(cause);
  await turn();
  await answer(1);
  expect(await failed).toBeInstanceOf(AppError);
  expect(await failed).toMatchObject({ reason: "SERVICE_UNAVAILABLE", cause });
  expect(await next).toBe("one");
});

test("more than may wait are refused at once, and those that wait are not", async () => {
  const { loader, queries, answer } = harness({ waitingMax: 2 });
  const [running, ...waiting] = [0, 1, 2].map((n) => loader.get(idOf(n)));
  await expect(loader.get(idOf(3))).rejects.toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
  await answer(0);
  await answer(1);
  expect(await Promise.all([running, ...waiting])).toEqual([undefined, undefined, undefined]);
  expect(queries.map((query) => query.ids.length)).toEqual([1, 2]);
});

test("queries are spaced, whoever asks and however often; after a rest the next one runs at once", async () => {
  const intervalMs = 50;
  const { loader, queries, answer } = harness({ intervalMs });
  for (let n = 0; n < 3; n++) {
    const asked = loader.get(idOf(n));
    const more = loader.get(idOf(n + 10));
    if (n === 0) expect(queries).toHaveLength(1);
    await eventually("asked", async () => queries.length > n);
    await answer(n);
    await Promise.race([asked, more]);
  }
  const gaps = queries.slice(1).map(({ atMs }, n) => atMs - (queries[n]?.atMs ?? 0));
  // A timer may fire a millisecond early.
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(intervalMs - 2);
});
