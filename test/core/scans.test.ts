/** Pages of filtered lists: what matches is found once and in order, whatever the bounds, and bounds are told. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FairTurns } from "../../src/core/fair-turns.ts";
import { idRange, Scans, typePattern } from "../../src/core/scans.ts";
import { AppError } from "../../src/errors.ts";
import type { Step, StepBounds } from "../../src/store/sql/scan.ts";

const id = (n: number) => `01900000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;

/** A step through rows with the ids 1 to `count`, of which `matches` tells those that match; notes what it examined. */
function stepThrough(count: number, matches: (n: number) => boolean, examined: number[] = []) {
  return async ({ after, rows, wanted }: StepBounds): Promise<Step> => {
    const from = after === null ? count : Number.parseInt(after.slice(-12), 16) - 1;
    const window = Array.from({ length: Math.min(rows, from) }, (_, at) => from - at);
    examined.push(window.length);
    const ids = window.filter(matches).slice(0, wanted).map(id);
    return { ids, examined: window.length, last: window.length < rows ? null : id(window.at(-1) ?? 0) };
  };
}

const scansWith = (rowsMax: number, stepMax: number, msMax = 60_000) =>
  new Scans({
    limits: { scanRowsMax: rowsMax, scanStepRowsMax: stepMax, scanMsMax: msMax },
    turns: new FairTurns(1),
  });

test("whatever matches is found once, in order; only bounds that were met end a page early", async () => {
  const cases = fc.record({
    count: fc.nat(60),
    matching: fc.array(fc.integer({ min: 1, max: 60 })),
    limit: fc.integer({ min: 1, max: 8 }),
    rowsMax: fc.integer({ min: 1, max: 40 }),
    stepMax: fc.integer({ min: 1, max: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ count, matching, limit, rowsMax, stepMax }) => {
      const wanted = new Set(matching.filter((n) => n <= count));
      const scans = scansWith(rowsMax, stepMax);
      const found: string[] = [];
      let cursor: string | undefined;
      for (let more = true; more; ) {
        const examined: number[] = [];
        const step = stepThrough(count, (n) => wanted.has(n), examined);
        const page = await scans.page("o", { limit, cursor }, step);
        found.push(...page.items);
        expect(page.hasMore).toBe(page.nextCursor !== null);
        if (page.hasMore && !page.truncated) expect(page.items).toHaveLength(limit);
        if (page.truncated) expect(page.hasMore && page.items.length <= limit).toBe(true);
        // The first step is as large as the page, whatever the bound.
        const sum = examined.reduce((one, other) => one + other, 0);
        expect(sum).toBeLessThanOrEqual(Math.max(rowsMax, limit + 1));
        cursor = page.nextCursor ?? undefined;
        more = page.hasMore;
      }
      expect(found).toEqual([...wanted].sort((a, b) => b - a).map(id));
    }),
  );
});

test("a look that takes too long ends, and goes on where it ended", async () => {
  const step = stepThrough(1_000, (n) => n === 1);
  const first = await scansWith(100_000, 100, 0).page("o", { limit: 1, cursor: undefined }, step);
  expect(first).toMatchObject({ items: [], hasMore: true, truncated: true });
  const rest = await scansWith(100_000, 100).page("o", { limit: 1, cursor: first.nextCursor ?? "" }, step);
  expect(rest).toEqual({ items: [id(1)], nextCursor: null, hasMore: false, truncated: false });
});

test("organizations take turns at long looks; a short one waits for nobody", async () => {
  const scans = scansWith(100_000, 2);
  const log: string[] = [];
  const look = async (organization: string, count: number) => {
    const step = stepThrough(count, () => false);
    const noted = async (bounds: StepBounds) => {
      log.push(organization);
      return await step(bounds);
    };
    await scans.page(organization, { limit: 1, cursor: undefined }, noted);
  };
  await Promise.all([look("a", 20), look("a", 20), look("b", 6), look("c", 1)]);
  expect(log.slice(0, 4)).toEqual(["a", "a", "b", "c"]);
  const long = log.slice(4).join("");
  expect(long).toMatch(/^a(ab|ba)a*b/);
  expect(long.replaceAll("b", "")).toHaveLength(20);
});

describe("fields of filters", () => {
  const refusal = (work: () => unknown) => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return error.violations.map(({ field, rule }) => `${field} ${rule}`);
    }
  };

  test.each<[string | undefined, unknown]>([
    [undefined, null],
    ["*", null],
    ["a", "a"],
    ["a.b", "a.b"],
    ["a.*", "a.*"],
    [".*", ["type pattern"]],
    ["a*", ["type pattern"]],
    ["*.a", ["type pattern"]],
    ["a.*.*", ["type pattern"]],
  ])("type %s", (type, expected) => {
    expect(refusal(() => typePattern(type))).toEqual(expected);
  });

  test.each<[number | undefined, number | undefined, unknown]>([
    [undefined, undefined, { from: null, before: null }],
    [1, 2.5, { from: "00000000-0001-0000-0000-000000000000", before: "00000000-0003-0000-0000-000000000000" }],
    [-5, undefined, { from: "00000000-0000-0000-0000-000000000000", before: null }],
    [undefined, 2 ** 50, { from: null, before: "ffffffff-ffff-0000-0000-000000000000" }],
    [2, 2, ["until range"]],
    [3, 2, ["until range"]],
  ])("since %s until %s", (sinceMs, untilMs, expected) => {
    expect(refusal(() => idRange({ sinceMs, untilMs }))).toEqual(expected);
  });
});
