import { describe, expect, test } from "vitest";
import { parseSchedule, SCHEDULE_ENTRIES_MAX } from "../../src/core/schedule.ts";
import { parseRetryAfter } from "../../src/delivery/retry-after.ts";
import { nextStep, RETRY_AFTER_MS_MAX } from "../../src/delivery/retry-policy.ts";

describe("parseSchedule", () => {
  test.each([
    ["0s", [0]],
    ["0s,5s,5m,30m,2h,1d", [0, 5_000, 300_000, 1_800_000, 7_200_000, 86_400_000]],
    [" 250ms , 1s ", [250, 1_000]],
    ["7d,168h", [604_800_000, 604_800_000]],
  ])("%s", (text, delaysMs) => {
    expect(parseSchedule(text)).toEqual(delaysMs);
  });

  const form = "takes delays such as 0s,5s,5m,2h,1d (units ms, s, m, h, d), not";
  test.each([
    ["", `${form} ""`],
    ["5s,", `${form} ""`],
    ["5", `${form} "5"`],
    ["-5s", `${form} "-5s"`],
    ["1.5s", `${form} "1.5s"`],
    ["5 s", `${form} "5 s"`],
    ["5S", `${form} "5S"`],
    ["5w", `${form} "5w"`],
    ["5s;6s", `${form} "5s;6s"`],
    ["1234567890ms", `${form} "1234567890ms"`],
    ["0s,8d", 'takes delays of at most 7d each, not "8d"'],
    ["604800001ms", 'takes delays of at most 7d each, not "604800001ms"'],
    ["0s,".repeat(50).concat("0s"), "takes at most 50 delays, not 51"],
  ])("refuses %j", (text, message) => {
    expect(() => parseSchedule(text)).toThrow(new RangeError(message));
  });

  test("takes as many entries as the bound says", () => {
    expect(parseSchedule(Array(SCHEDULE_ENTRIES_MAX).fill("1s").join(","))).toHaveLength(SCHEDULE_ENTRIES_MAX);
  });
});

describe("nextStep", () => {
  const schedule = [0, 10_000, 100_000];
  const step = (
    attemptNumber: number,
    statusCode: number | null,
    errorCode: string | null,
    retryAfterMs: number | null = null,
    random = 0.5,
  ) => nextStep({ schedule, attemptNumber, outcome: { statusCode, errorCode }, retryAfterMs, random: () => random });
  const retry = (delayMs: number) => ({ kind: "retry", delayMs });

  test.each([
    ["a success", step(1, 200, null), { kind: "succeeded" }],
    ["a success on the last attempt", step(3, 204, null), { kind: "succeeded" }],
    ["a 2xx that never ended", step(1, 200, "timeout"), retry(10_000)],
    ["gone", step(1, 410, "http_status"), { kind: "stop", reason: "gone" }],
    ["gone on the last attempt", step(3, 410, "http_status"), { kind: "stop", reason: "gone" }],
    ["not found", step(1, 404, "http_status"), retry(10_000)],
    ["a redirect", step(1, 301, "http_status"), retry(10_000)],
    ["a server error", step(2, 500, "http_status"), retry(100_000)],
    ["no answer", step(1, null, "connect"), retry(10_000)],
    ["a blocked address", step(1, null, "blocked_address"), retry(10_000)],
    ["the last entry used up", step(3, 500, "http_status"), { kind: "exhausted" }],
    ["far past the schedule", step(99, null, "dns"), { kind: "exhausted" }],
    ["the least jitter", step(1, 500, "http_status", null, 0), retry(9_000)],
    ["the most jitter", step(1, 500, "http_status", null, 0.999999), retry(11_000)],
    ["a longer Retry-After on 429", step(1, 429, "http_status", 60_000, 0), retry(60_000)],
    ["a longer Retry-After with jitter", step(1, 429, "http_status", 60_000, 0.5), retry(63_000)],
    ["a longer Retry-After on 503", step(1, 503, "http_status", 60_000, 0), retry(60_000)],
    ["a shorter Retry-After", step(1, 503, "http_status", 1_000, 0), retry(9_000)],
    ["a Retry-After of zero", step(1, 503, "http_status", 0), retry(10_000)],
    ["a Retry-After on another status", step(1, 500, "http_status", 60_000), retry(10_000)],
    ["a huge Retry-After", step(1, 429, "http_status", Number.MAX_SAFE_INTEGER, 0.5), retry(RETRY_AFTER_MS_MAX)],
    ["a Retry-After at the end", step(3, 429, "http_status", 60_000), { kind: "exhausted" }],
  ])("%s", (_what, actual, expected) => {
    expect(actual).toEqual(expected);
  });

  test("a schedule's own delay beyond the Retry-After bound stands", () => {
    const outcome = { statusCode: 503, errorCode: "http_status" };
    const long = { schedule: [0, 2 * RETRY_AFTER_MS_MAX], attemptNumber: 1, outcome, random: () => 0.5 };
    expect(nextStep({ ...long, retryAfterMs: 5 })).toEqual({ kind: "retry", delayMs: 2 * RETRY_AFTER_MS_MAX });
  });
});

describe("parseRetryAfter", () => {
  const nowMs = Date.UTC(2026, 10, 23, 12, 0, 0);

  test.each([
    ["0", 0],
    ["120", 120_000],
    [" 120 ", 120_000],
    ["86401", RETRY_AFTER_MS_MAX],
    ["9".repeat(400), RETRY_AFTER_MS_MAX],
    ["Mon, 23 Nov 2026 12:01:00 GMT", 60_000],
    ["Monday, 23-Nov-26 12:01:00 GMT", 60_000],
    ["Mon Nov 23 12:01:00 2026", 60_000],
    ["Tue Dec  1 12:00:00 2026", RETRY_AFTER_MS_MAX],
    ["Mon, 23 Nov 2026 11:00:00 GMT", 0],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 0],
    ["", null],
    ["-1", null],
    ["1.5", null],
    ["1e3", null],
    ["0x10", null],
    ["soon", null],
    ["2026-11-23T12:01:00Z", null],
    ["Mon, 23 Nov 2026 12:01:00", null],
    ["Mon, 23 nov 2026 12:01:00 GMT", null],
    ["Mon, 31 Nov 2026 12:01:00 GMT", null],
    ["Mon, 23 Nov 2026 24:01:00 GMT", null],
    ["Mon, 23 Nov 2026 12:60:00 GMT", null],
  ])("%j", (value, waitMs) => {
    expect(parseRetryAfter(value, nowMs)).toBe(waitMs);
  });
});
