import { describe, expect, test } from "vitest";
import { meter, type Told } from "../../src/core/notice-floods.ts";
import type { Flood, Notice } from "../../src/store/sql/notices.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const at = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1_000);
const MINUTE = at(60);
const NO_MORE = { further: 0, furtherSince: null, furtherUntil: null };

/** Notices of one webhook and type, a second apart. */
const notices = (
  count: number,
  from = 0,
  webhookId: string | null = "w",
  type: Notice["type"] = "delivery.exhausted",
) =>
  Array.from({ length: count }, (_, n): Notice => {
    return { id: `${type} ${from + n}`, webhookId, type, data: {}, raisedAt: at(from + n) };
  });

const flood = (settings: Partial<Flood>): Flood => ({
  ...{ webhookId: "w", type: "delivery.exhausted", until: MINUTE, told: 1, ...NO_MORE },
  ...settings,
});

const outline = ({ notice, count }: Told): string => notice?.id ?? `and ${count} more`;

describe("what is told of one webhook in one way", () => {
  const cases: [what: string, given: Notice[], before: Flood[], told: string[], after: Flood[]][] = [
    [
      "the first begin a minute",
      notices(2),
      [],
      ["delivery.exhausted 0", "delivery.exhausted 1"],
      [flood({ told: 2 })],
    ],
    ["as many as may", notices(1), [flood({ told: 2 })], ["delivery.exhausted 0"], [flood({ told: 3 })]],
    [
      "those beyond are counted",
      notices(3),
      [flood({ told: 2 })],
      ["delivery.exhausted 0"],
      [flood({ told: 3, further: 2, furtherSince: at(1), furtherUntil: at(2) })],
    ],
    [
      "and go on being counted",
      notices(2, 5),
      [flood({ told: 3, further: 2, furtherSince: at(1), furtherUntil: at(2) })],
      [],
      [flood({ told: 3, further: 4, furtherSince: at(1), furtherUntil: at(6) })],
    ],
    ["a minute without more just ends", [], [flood({ told: 3, until: NOW })], [], []],
    [
      "a minute with more ends with their sum, which counts for the next",
      [],
      [flood({ told: 3, until: NOW, further: 7, furtherSince: at(-9), furtherUntil: at(-1) })],
      ["and 7 more"],
      [flood({ told: 1 })],
    ],
    [
      "the sum comes before what follows",
      notices(3),
      [flood({ told: 3, until: NOW, further: 7, furtherSince: at(-9), furtherUntil: at(-1) })],
      ["and 7 more", "delivery.exhausted 0", "delivery.exhausted 1"],
      [flood({ told: 3, further: 1, furtherSince: at(2), furtherUntil: at(2) })],
    ],
  ];
  test.each(cases)("%s", (_what, given, before, told, after) => {
    const metered = meter({ notices: given, floods: before, now: NOW }, 3);
    expect(metered.told.map(outline)).toEqual(told);
    expect(metered.floods).toEqual(after);
  });
});

test("a flood hides neither another webhook nor another type, and what concerns the organization is always told", () => {
  const given = [
    ...notices(5),
    ...notices(1, 5, "v"),
    ...notices(1, 6, "w", "forwarding.stopped"),
    ...notices(4, 7, null, "bulk_job.finished"),
  ];
  const { told, floods } = meter({ notices: given, floods: [], now: NOW }, 3);
  expect(told).toHaveLength(3 + 1 + 1 + 4);
  expect(floods.map(({ webhookId, type, told: n, further }) => [webhookId, type, n, further])).toEqual([
    ["w", "delivery.exhausted", 3, 2],
    ["v", "delivery.exhausted", 1, 0],
    ["w", "forwarding.stopped", 1, 0],
  ]);
});

test("a sum tells when the first and the last of it was", () => {
  const full = flood({ until: NOW, further: 2, furtherSince: at(-9), furtherUntil: at(-1) });
  const { told } = meter({ notices: [], floods: [full], now: NOW }, 3);
  expect(told).toEqual([
    { webhookId: "w", type: "delivery.exhausted", notice: null, count: 2, since: at(-9), until: at(-1) },
  ]);
});
