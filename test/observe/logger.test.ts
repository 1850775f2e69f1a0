import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { errorSummary } from "../../src/observe/logger.ts";

/** More than may wait, at a kilobyte each. */
const LINES = 8_000;

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

test("a reader that does not read costs lines, whose number is told, and never stops the writer", async () => {
  const logger = new URL("../../src/observe/logger.ts", import.meta.url).href;
  const program = `
    const { createLogger } = await import("${logger}");
    const logger = createLogger("info");
    for (let n = 0; n < ${LINES}; n++) logger.info({ n, fill: "${"x".repeat(1_000)}" }, "line");
    process.stdout.write("written");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "pipe"] });
  // Nobody reads standard error until everything has been written to it.
  await once(child.stdout, "data");
  const lines = (await text(child.stderr))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const told = lines.filter(({ msg }) => msg === "log lines were dropped");
  const dropped = told.reduce((sum, { lines: count }) => sum + count, 0);
  expect(dropped).toBeGreaterThan(0);
  expect(lines.filter(({ msg }) => msg === "line")).toHaveLength(LINES - dropped);
  expect(told[0]).toMatchObject({ level: "warn", time: expect.any(String) });
});
