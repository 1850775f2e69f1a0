import { expect, test } from "vitest";
import { isUuid, newId } from "../../src/core/ids.ts";

test("ids are UUIDv7 of now, distinct, and in the order of their making", () => {
  const before = Date.now();
  const ids = Array.from({ length: 20_000 }, newId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const [first = ""] = ids;
  const timeMs = Number.parseInt(first.slice(0, 8) + first.slice(9, 13), 16);
  expect(timeMs).toBeGreaterThanOrEqual(before);
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
