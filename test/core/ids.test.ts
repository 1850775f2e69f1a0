import { afterEach, expect, test, vi } from "vitest";
import { isUuid, newId, noteDatabaseTime } from "../../src/core/ids.ts";

const DAY_MS = 86_400_000;
const timeOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

afterEach(() => {
  vi.useRealTimers();
  noteDatabaseTime(Number.NEGATIVE_INFINITY);
});

test("ids are UUIDv7 of now, distinct, and in the order of their making", () => {
  const before = Date.now();
  const ids = Array.from({ length: 20_000 }, newId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const [first = ""] = ids;
  expect(timeOf(first)).toBeGreaterThanOrEqual(before);
});

test.each([
  ["the wall clock is behind", -45, 0, 0],
  ["the wall clock is ahead", 45, 0, 45],
  ["the database's clock is behind", 0, -45, 0],
  ["the database's clock is ahead", 0, 45, 45],
])("%s: the later of both counts", (_, wallDays, databaseDays, expectedDays) => {
  const before = Date.now();
  vi.useFakeTimers({ toFake: ["Date"], now: before + wallDays * DAY_MS });
  noteDatabaseTime(before + databaseDays * DAY_MS);
  const timeMs = timeOf(newId());
  expect(timeMs).toBeGreaterThanOrEqual(before + expectedDays * DAY_MS - 1);
  expect(timeMs).toBeLessThan(before + (expectedDays + 1) * DAY_MS);
});

test.each([
  ["01a20a46-a801-7743-bb0d-4365ec8266c7", true],
  ["01A20A46-A801-7743-BB0D-4365EC8266C7", true],
  ["01a20a46a8017743bb0d4365ec8266c7", false],
  ["{01a20a46-a801-7743-bb0d-4365ec8266c7}", false],
  ["01a20a46-a801-7743-bb0d-4365ec8266c7\n", false],
  ["", false],
])("isUuid(%j) is %s", (text, expected) => {
  expect(isUuid(text)).toBe(expected);
});
