import { expect, test } from "vitest";
import { Alarm } from "../../src/delivery/alarm.ts";

/** Long enough that a test which waits for it has failed, milliseconds. */
const FOREVER_MS = 600_000;

test("a ring while waiting ends the wait", async () => {
  const alarm = new Alarm();
  const waited = alarm.wait(alarm.next(), FOREVER_MS);
  alarm.ring();
  await waited;
});

test("a ring between registering and waiting is not lost", async () => {
  const alarm = new Alarm();
  const rang = alarm.next();
  alarm.ring();
  await alarm.wait(rang, FOREVER_MS);
});

test("a ring before registering is not heard again", async () => {
  const alarm = new Alarm();
  alarm.ring();
  let heard = false;
  const rang = alarm.next().then(() => {
    heard = true;
  });
  await alarm.wait(rang, 1);
  expect(heard).toBe(false);
  alarm.ring();
  await rang;
  expect(heard).toBe(true);
});

test("one ring reaches everybody who has registered", async () => {
  const alarm = new Alarm();
  const waiting = [1, 2, 3].map(() => alarm.wait(alarm.next(), FOREVER_MS));
  alarm.ring();
  await Promise.all(waiting);
});

test("without a ring the wait ends by itself", async () => {
  const alarm = new Alarm();
  await alarm.wait(alarm.next(), 1);
});
