/** Work behind the scenes: never twice at once, once more if woken meanwhile, and on after a failure. */
import { expect, test } from "vitest";
import { createLogger } from "../../src/observe/logger.ts";
import { Chore } from "../../src/store/chore.ts";

const NEVER_MS = 86_400_000;

function chore(work: (signal: AbortSignal) => Promise<void>, firstMs = NEVER_MS): Chore {
  return new Chore({ name: "test", logger: createLogger("silent"), firstMs, everyMs: NEVER_MS, work });
}

test("wakes while it is at work are one more turn, after the one under way", async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const began = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let turns = 0;
  const one = chore(async () => {
    const turn = turns++;
    began[turn]?.resolve();
    await gates[turn]?.promise;
  });
  one.wake();
  await began[0]?.promise;
  one.wake();
  one.wake();
  expect(turns).toBe(1);
  gates[0]?.resolve();
  await began[1]?.promise;
  gates[1]?.resolve();
  await one.stop();
  expect(turns).toBe(2);
});

test("it begins by itself after the start, and a turn that fails is not the last", async () => {
  const began = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let turns = 0;
  const one = chore(async () => {
    began[turns++]?.resolve();
    throw new Error("the store is away");
  }, 0);
  one.start();
  await began[0]?.promise;
  one.wake();
  await began[1]?.promise;
  await one.stop();
});

test("a stop tells the turn under way, waits for it, and is final", async () => {
  const began = Promise.withResolvers<void>();
  let ended = 0;
  const one = chore(async (signal) => {
    began.resolve();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    ended += 1;
  });
  one.wake();
  await began.promise;
  one.wake();
  await Promise.all([one.stop(), one.stop()]);
  one.wake();
  await one.stop();
  expect(ended).toBe(1);
});
