import { expect, test } from "vitest";
import { searchPattern } from "../../src/core/search-pattern.ts";

const latin1 = (text: string) => Buffer.from(text).toString("latin1");

test.each([
  ["order_42", "order_42"],
  ["a.b*", "a\\.b\\*"],
  ['{"a": 1}\\d', '\\{\\"a\\"\\: 1\\}\\\\d'],
  ["***:x", "\\*\\*\\*\\:x"],
  ["é", `(?:${latin1("é")}|${latin1("É")})`],
  ["ß", `(?:${latin1("ß")}|SS)`],
  ["漢字", latin1("漢字")],
  ["💥", latin1("💥")],
])("%s", (text, pattern) => {
  expect(searchPattern(text)).toBe(pattern);
});
