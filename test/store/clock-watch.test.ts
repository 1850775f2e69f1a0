import { expect, test } from "vitest";
import { ClockWatch } from "../../src/store/clock-watch.ts";

test.each([
  { what: "goes on", first: 1_000, second: 61_000, fellBackMs: 0 },
  { what: "is set forward", first: 1_000, second: 999_000, fellBackMs: 0 },
  { what: "is set back", first: 1_000_000, second: 60_000, fellBackMs: 1_000_000 },
  { what: "stands still", first: 1_000, second: 1_000, fellBackMs: 60_000 },
])("a clock that $what while a minute goes by", ({ first, second, fellBackMs }) => {
  const watch = new ClockWatch();
  expect(watch.look(first, 5)).toBeUndefined();
  expect(watch.look(second, 60_005)).toBe(fellBackMs);
});

test("a fall is seen once", () => {
  const watch = new ClockWatch();
  watch.look(10_000, 0);
  expect(watch.look(0, 0)).toBe(10_000);
  expect(watch.look(1_000, 1_000)).toBe(0);
});
