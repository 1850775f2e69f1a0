import { expect, test } from "vitest";
import { findUnmatchable, matchesAllowlist, normalizeAllowlist } from "../../src/core/allowlist.ts";

test.each<[readonly string[], readonly string[]]>([
  [[], []],
  [["", "  ", "\t"], []],
  [
    [" b ", "a", "b", "a "],
    ["b", "a"],
  ],
  [
    ["A", "a", "*", "a.*"],
    ["A", "a", "*", "a.*"],
  ],
])("normalize %j", (list, expected) => {
  expect(normalizeAllowlist(list)).toEqual(expected);
});

test.each<[readonly string[], string | null, boolean]>([
  [[], "a", true],
  [[], null, true],
  [["*"], "a.b", true],
  [["*"], null, true],
  [["a"], null, false],
  [["a.*"], null, false],
  [["a"], "a", true],
  [["a"], "A", false],
  [["a"], "a.b", false],
  [["a"], "ab", false],
  [["issues.*"], "issues.opened", true],
  [["issues.*"], "issues.opened.twice", true],
  [["issues.*"], "issues", false],
  [["issues.*"], "issues.", false],
  [["issues.*"], "issuesx.opened", false],
  [["issues.*"], "issue.opened", false],
  [["a", "b.*"], "b.c", true],
  [["a", "*"], "b", true],
])("%j lets %j through: %s", (patterns, type, expected) => {
  expect(matchesAllowlist(patterns, type === null ? [] : [type])).toBe(expected);
});

test("one of several types is enough", () => {
  expect(matchesAllowlist(["click"], ["open", "click"])).toBe(true);
  expect(matchesAllowlist(["deferred", "click.*"], ["open", "click"])).toBe(false);
});

test.each(["*", "a", "a.b", "a.*", ".*", "a b", "é", " a.* ", "", "\t"])(
  "%j can match some event, or is blank",
  (pattern) => {
    expect(findUnmatchable([pattern])).toBe(-1);
  },
);

test.each(["**", "a*", "*.a", "a.*.b", "*.*", "a.**", "a\nb", "a\u0085.*"])("%j can match none", (pattern) => {
  expect(findUnmatchable(["a", "", pattern])).toBe(2);
});
