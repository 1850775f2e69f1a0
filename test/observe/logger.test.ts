import { expect, test } from "vitest";
import { errorSummary } from "../../src/observe/logger.ts";

test("an error's other properties are never logged", () => {
  const lost = Object.assign(new Error("terminating connection"), {
    code: "57P01",
    client: { secretKey: 1 },
    detail: "row",
  });
  expect(errorSummary(lost)).toEqual({ type: "Error", message: "terminating connection", code: "57P01" });
});

test("our own faults keep their stack, and causes are told the same way", () => {
  const summary = errorSummary(
    new TypeError("broken", { cause: Object.assign(new Error("down"), { code: "X", key: "k" }) }),
  );
  expect(summary).toEqual({
    type: "TypeError",
    message: "broken",
    stack: expect.stringContaining("TypeError: broken"),
    cause: { type: "Error", message: "down", code: "X" },
  });
});

test("what is no error is told as text", () => {
  expect(errorSummary("plain")).toEqual({ message: "plain" });
});
