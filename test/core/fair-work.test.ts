/** Work in slices: whose turn it is, what waits, and that everything else goes on meanwhile. */
import { expect, test } from "vitest";
import { FairWork } from "../../src/core/fair-work.ts";

const LIMITS = { perClientMax: 2, max: 3 };
/** Longer than a slice. */
const STEP_MS = 2;

/** Steps of which each takes a slice; notes them in `log`. */
function* slow(name: string, steps: number, log: string[]): Generator<void, string> {
  for (let n = 1; n <= steps; n++) {
    const untilMs = performance.now() + STEP_MS;
    while (performance.now() < untilMs);
    log.push(`${name}${n}`);
    yield;
  }
  return name;
}

test("clients take turns, a client's own works come one after the other", async () => {
  // The first slice is over before there is anybody else.
  const [work, log]: [FairWork, string[]] = [new FairWork(LIMITS), []];
  const done = [work.do("a", slow("a", 3, log)), work.do("a", slow("A", 1, log)), work.do("b", slow("b", 2, log))];
  expect(await Promise.all(done)).toEqual(["a", "A", "b"]);
  expect(log).toEqual(["a1", "a2", "b1", "a3", "b2", "A1"]);
});

test("timers go on between the slices", async () => {
  const [work, log]: [FairWork, string[]] = [new FairWork(LIMITS), []];
  const timer = setInterval(() => log.push("timer"), 1);
  await work.do("a", slow("a", 5, log)).finally(() => clearInterval(timer));
  expect(log.filter((entry) => entry === "timer").length).toBeGreaterThanOrEqual(3);
});

test("what throws rejects alone", async () => {
  const [work, log]: [FairWork, string[]] = [new FairWork(LIMITS), []];
  function* failing(): Generator<void, string> {
    yield;
    throw new Error("broken");
  }
  const done = [work.do("a", failing()), work.do("a", slow("a", 1, log)), work.do("b", slow("b", 1, log))];
  expect(await Promise.allSettled(done)).toMatchObject([
    { status: "rejected", reason: { message: "broken" } },
    { value: "a" },
    { value: "b" },
  ]);
});

test("a client, and all of them, may have so much waiting, and room comes back", async () => {
  const [work, log]: [FairWork, string[]] = [new FairWork(LIMITS), []];
  const done = [work.do("a", slow("a", 1, log)), work.do("a", slow("a", 1, log))];
  expect(() => work.do("a", slow("a", 1, log))).toThrow(expect.objectContaining({ reason: "TOO_MANY_REQUESTS" }));
  done.push(work.do("b", slow("b", 1, log)));
  expect(() => work.do("c", slow("c", 1, log))).toThrow(expect.objectContaining({ reason: "SERVICE_UNAVAILABLE" }));
  await Promise.all(done);
  for (let n = 0; n < 5; n++) expect(await work.do("c", slow("c", 1, log))).toBe("c");
});
