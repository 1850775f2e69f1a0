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
  const results = jobs.map((job) => slots.run(job.work));
  expect(started).toEqual(["a", "b"]);
  expect([slots.used, slots.free]).toEqual([2, 0]);
  jobs[1]?.finish();
  await results[1];
  expect(started).toEqual(["a", "b", "c"]);
  jobs[0]?.finish();
  await results[0];
  expect(started).toEqual(["a", "b", "c", "d"]);
  for (const job of jobs) job.finish();
  expect(await Promise.all(results)).toEqual(["a", "b", "c", "d"]);
  expect([slots.used, slots.free]).toEqual([0, 2]);
});

test("work that fails, at once or later, gives its slot back", async () => {
  const slots = new Slots(1);
  const started: string[] = [];
  const failing = controlled(started, "fails");
  const failed = slots.run(failing.work);
  const thrown = slots.run(() => {
    throw new Error("at once");
  });
  failing.fail();
  await expect(failed).rejects.toThrow("fails");
  await expect(thrown).rejects.toThrow("at once");
  expect(await slots.run(async () => "next")).toBe("next");
  expect([slots.used, slots.free]).toEqual([0, 1]);
});

test.each([
  { max: 3, running: 0, free: 3 },
  { max: 3, running: 2, free: 1 },
  { max: 3, running: 3, free: 0 },
  { max: 3, running: 5, free: 0 },
])("free is what is left of $max with $running asked for: $free", async ({ max, running, free }) => {
  const slots = new Slots(max);
  const jobs = Array.from({ length: running }, (_, n) => controlled([], String(n)));
  const results = jobs.map((job) => slots.run(job.work));
  expect(slots.free).toBe(free);
  expect(slots.used).toBe(Math.min(running, max));
  for (const job of jobs) job.finish();
  await Promise.all(results);
  expect(slots.free).toBe(max);
});

test("a slot that is handed on is never free in between: a newcomer cannot jump the queue", async () => {
  const slots = new Slots(1);
  const started: string[] = [];
  const [first, second, third] = ["first", "second", "third"].map((name) => controlled(started, name));
  const running = [first, second].map((job) => slots.run(job?.work ?? (async () => "")));
  first?.finish();
  await running[0];
  const late = slots.run(third?.work ?? (async () => ""));
  expect(started).toEqual(["first", "second"]);
  second?.finish();
  third?.finish();
  await Promise.all([...running, late]);
  expect(started).toEqual(["first", "second", "third"]);
});
