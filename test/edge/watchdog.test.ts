/** Slow bodies, slow answers, and rights that are used up: the pure measures behind the bounds of time. */
import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Allowance, AnswerPace } from "../../src/edge/pace.ts";
import { Watchdog } from "../../src/edge/watchdog.ts";
import type { AppError } from "../../src/errors.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a body that is watched", () => {
  const limits = { sweepIntervalMs: 100, bodyGraceMs: 1_000, bodyBytesPerSecondMin: 100, bodyTimeoutMs: 10_000 };

  /** Reads so many bytes every 100 ms, and tells when the body was late, milliseconds. */
  function lateAfter(bytesEach: number, untilMs: number): number | undefined {
    const watchdog = new Watchdog(limits);
    watchdog.start();
    let lateMs: number | undefined;
    const errors: AppError[] = [];
    const startMs = performance.now();
    const body = watchdog.watchBody((error) => {
      errors.push(error);
      lateMs ??= performance.now() - startMs;
    });
    expect(watchdog.bodies).toBe(1);
    for (let ms = 0; ms < untilMs; ms += 100) {
      body.read(bytesEach);
      vi.advanceTimersByTime(100);
    }
    body.done();
    body.done();
    expect(watchdog.bodies).toBe(0);
    expect(errors.map(({ reason }) => reason)).toEqual(lateMs === undefined ? [] : ["REQUEST_TIMEOUT"]);
    watchdog.stop();
    return lateMs;
  }

  test.each<[string, number, number, number | undefined]>([
    ["is left alone within its grace, whatever its rate", 0, 900, undefined],
    ["that does not come is late once the grace is over", 0, 20_000, 1_100],
    ["that comes at the least rate is not late", 10, 9_900, undefined],
    ["that comes at half the least rate is late", 5, 9_900, 2_200],
    ["has to be whole in its time, whatever its rate", 1_000, 20_000, 10_100],
  ])("%s", (_what, bytesEach, untilMs, expected) => {
    const lateMs = lateAfter(bytesEach, untilMs);
    if (expected === undefined) expect(lateMs).toBeUndefined();
    else expect(lateMs).toBeCloseTo(expected, -2.7);
  });
});

describe("an answer", () => {
  /** Holds back whatever a test says. */
  const createSink = () =>
    Object.defineProperty(new Writable(), "writableLength", { value: 0, writable: true }) as Sink;
  type Sink = Writable & { writableLength: number };
  const limits = { answerStallMs: 1_000, answerBytesPerSecondMin: 100 };

  test("that holds nothing back never stalls", () => {
    const pace = new AnswerPace(createSink(), limits);
    expect([0, 10_000, 1e9].map((ms) => pace.isStalled(ms))).toEqual([false, false, false]);
  });

  test("has a stall's time, and the time that the least rate needs for what waits", () => {
    const sink = createSink();
    const pace = new AnswerPace(sink, limits);
    sink.writableLength = 200;
    expect([0, 1_500, 3_000, 3_001].map((ms) => pace.isStalled(ms))).toEqual([false, false, false, true]);
  });

  test("that is taken piece by piece does not stall, even if each piece is as large as the last", () => {
    const sink = createSink();
    const pace = new AnswerPace(sink, limits);
    sink.writableLength = 200;
    expect(pace.isStalled(0)).toBe(false);
    for (let ms = 2_500; ms < 30_000; ms += 2_500) {
      sink.emit("drain");
      expect(pace.isStalled(ms)).toBe(false);
    }
    expect(sink.listenerCount("drain")).toBe(1);
  });
});

test("an allowance gives its burst at once, and then its rate, and never more than its burst", () => {
  const allowance = new Allowance(3, 2);
  const take = (times: number) => Array.from({ length: times }, () => allowance.take()).filter(Boolean).length;
  expect(take(10)).toBe(3);
  vi.advanceTimersByTime(1_000);
  expect(take(10)).toBe(2);
  vi.advanceTimersByTime(60_000);
  expect(take(10)).toBe(3);
});
