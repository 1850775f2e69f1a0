import { expect, test } from "vitest";
import { remember } from "../../src/edge/readiness.ts";

/** A question that is answered when the test says so. */
function question() {
  const waiting: { answer: (value: number) => void; fail: (error: Error) => void }[] = [];
  const ask = () => new Promise<number>((answer, fail) => waiting.push({ answer, fail }));
  return { ask, waiting };
}

test("an answer is repeated for a while", async () => {
  const { ask, waiting } = question();
  const read = remember(60_000, ask);
  const answers = [read(), read()];
  waiting[0]?.answer(1);
  expect(await Promise.all([...answers, read()])).toEqual([1, 1, 1]);
  expect(waiting).toHaveLength(1);
});

test("whoever asks while nobody has answered yet waits for the same answer, however long it takes", async () => {
  const { ask, waiting } = question();
  const read = remember(0, ask);
  const answers = [read(), read(), read()];
  expect(waiting).toHaveLength(1);
  waiting[0]?.answer(1);
  expect(await Promise.all(answers)).toEqual([1, 1, 1]);
  const next = read();
  expect(waiting).toHaveLength(2);
  waiting[1]?.answer(2);
  expect(await next).toBe(2);
});

test("a failure is repeated like an answer, and asked about again", async () => {
  const { ask, waiting } = question();
  const read = remember(0, ask);
  const answers = [read(), read()];
  waiting[0]?.fail(new Error("down"));
  for (const answer of answers) await expect(answer).rejects.toThrow("down");
  const next = read();
  waiting[1]?.answer(2);
  expect(await next).toBe(2);
});
