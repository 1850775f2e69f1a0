/** Linear's id of its webhook in a body, and what is remembered by it. */
import { describe, expect, test } from "vitest";
import { LinearHints, subscriptionOf } from "../../src/core/linear-hints.ts";

const cases: [name: string, body: string, subscription: string | undefined][] = [
  ["a member of the body", '{"type":"Issue","webhookId":"11111111-2222"}', "11111111-2222"],
  ["with white space", '{"webhookId" : "1-a"}', "1-a"],
  ["the last of several", '{"data":{"webhookId":"inner"},"webhookId":"outer"}', "outer"],
  ["one that stands in a text", String.raw`{"webhookId":"outer","title":"\"webhookId\":\"inner\""}`, "outer"],
  ["none", '{"type":"Issue"}', undefined],
  ["no text", '{"webhookId":1}', undefined],
  ["too long a text", `{"webhookId":"${"1".repeat(65)}"}`, undefined],
  ["what is no id", '{"webhookId":"a b"}', undefined],
  ["the name at the end", '{"a":"webhookId"', undefined],
  ["nothing", "", undefined],
];

test.each(cases)("%s", (_name, body, subscription) => {
  expect(subscriptionOf(Buffer.from(body))).toBe(subscription);
});

describe("hints", () => {
  test("the latest match comes first, and four are remembered", () => {
    const hints = new LinearHints(10);
    for (const id of ["a", "b", "c", "b", "d", "e"]) hints.confirm("s", id);
    expect(hints.get("s")).toEqual(["e", "d", "b", "c"]);
    expect(hints.get("other")).toEqual([]);
    expect(hints.get(undefined)).toEqual([]);
  });

  test("of more than so many the one that was confirmed longest ago goes", () => {
    const hints = new LinearHints(2);
    for (const subscription of ["a", "b", "a", "c", undefined]) hints.confirm(subscription, "w");
    expect(["a", "b", "c"].map((subscription) => hints.get(subscription))).toEqual([["w"], [], ["w"]]);
  });
});
