import { expect, test } from "vitest";
import { Slots } from "../../src/delivery/slots.ts";

/** Work that ends when the test says so, and notes when it began. */
function controlled(started: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const work = () => {
    started.push(name);
    return promise;
  };
  return { work, finish: () => resolve(name), fail: () => reject(new Error(name)) };
}

test("no more than the bound runs at once, and who waits is served in order", async () => {
  const slots = new Slots(2);
  const started: string[] = [];
  const jobs = ["a", "b", "c", "d"].map((name) => controlled(started, name));
  const results = jobs.map((job) => slots.run("a", job.work));
  expect(started).toEqual(["a", "b"]);
  expect(slots.used).toBe(2);
  jobs[1]?.finish();
  await results[1];
  expect(started).toEqual(["a", "b", "c"]);
  jobs[0]?.finish();
  await results[0];
  expect(started).toEqual(["a", "b", "c", "d"]);
  for (const job of jobs) job.finish();
  expect(await Promise.all(results)).toEqual(["a", "b", "c", "d"]);
  expect(slots.used).toBe(0);
});

test("work that fails, at once or later, gives its slot back", async () => {
  const slots = new Slots(1);
  const started: string[] = [];
  const failing = controlled(started, "fails");
  const failed = slots.run("a", failing.work);
  const thrown = slots.run("a", () => {
    throw new Error("at once");
  });
  failing.fail();
  await expect(failed).rejects.toThrow("fails");
  await expect(thrown).rejects.toThrow("at once");
  expect(await slots.run("a", async () => "next")).toBe("next");
  expect(slots.used).toBe(0);
});

test("a slot that is handed on is never free in between: a newcomer cannot jump the queue", async () => {
  const slots = new Slots(1);
  const started: string[] = [];
  const [first, second, third] = ["first", "second", "third"].map((name) => controlled(started, name));
  const running = [first, second].map((job) => slots.run("a", job?.work ?? (async () => "")));
  first?.finish();
  await running[0];
  const late = slots.run("a", third?.work ?? (async () => ""));
  expect(started).toEqual(["first", "second"]);
  second?.finish();
  third?.finish();
  await Promise.all([...running, late]);
  expect(started).toEqual(["first", "second", "third"]);
});

test("a key has no more than its share, others go past it, and those that wait are served in turn", async () => {
  const slots = new Slots(3, 2);
  const started: string[] = [];
  const jobs = ["a1", "a2", "a3", "b1", "b2", "a4"].map((name) => ({ name, ...controlled(started, name) }));
  const results = jobs.map((job) => slots.run(job.name.slice(0, 1), job.work));
  expect(started).toEqual(["a1", "a2", "b1"]);
  for (const [n, next] of [
    [3, "b2"],
    [0, "a3"],
    [1, "a4"],
  ] as const) {
    jobs[n]?.finish();
    await results[n];
    expect(started.at(-1)).toBe(next);
  }
  for (const job of jobs) job.finish();
  await Promise.all(results);
  expect(slots.used).toBe(0);
});

test("when all are let in, so is who comes later", async () => {
  const slots = new Slots(1);
  const started: string[] = [];
  const jobs = ["a", "b", "c"].map((name) => controlled(started, name));
  const results = jobs.slice(0, 2).map((job) => slots.run("a", job.work));
  slots.open();
  results.push(...jobs.slice(2).map((job) => slots.run("a", job.work)));
  await Promise.resolve();
  expect(started.toSorted()).toEqual(["a", "b", "c"]);
  for (const job of jobs) job.finish();
  await Promise.all(results);
});
