import { expect, test } from "vitest";
import { Breaker, verdictOn } from "../../src/delivery/breaker.ts";

test.each<[number | null, string | null, ReturnType<typeof verdictOn>]>([
  [200, null, "works"],
  [404, "http_status", "works"],
  [301, "http_status", "works"],
  [410, "http_status", "works"],
  [429, "http_status", "fails"],
  [500, "http_status", "fails"],
  [503, "http_status", "fails"],
  [200, "timeout", "fails"],
  [null, "timeout", "fails"],
  [null, "connect", "fails"],
  [null, "dns", "fails"],
  [null, "tls", "fails"],
  [null, "aborted", undefined],
  [null, "internal", undefined],
  [null, "oauth2", undefined],
  [null, "proxy", undefined],
  [null, "blocked_address", undefined],
])("%s %s: %s", (statusCode, errorCode, expected) => {
  expect(verdictOn({ statusCode, errorCode })).toBe(expected);
});

const LIMITS = { windowMs: 1_000, attemptsMin: 4, failureShare: 0.5, destinationsMax: 2 };
const OK = { statusCode: 200, errorCode: null };
const BAD = { statusCode: 500, errorCode: "http_status" };
const OURS = { statusCode: null, errorCode: "internal" };

/** Whether each outcome opens the circuit; a number moves the clock by so many milliseconds. */
function openings(...steps: (typeof OK | typeof BAD | typeof OURS | number)[]): boolean[] {
  let nowMs = 0;
  const breaker = new Breaker(LIMITS, () => nowMs);
  return steps.flatMap((step) => {
    if (typeof step !== "number") return [breaker.note("a", step)];
    nowMs += step;
    return [];
  });
}

test.each<[string, Parameters<typeof openings>, number | undefined]>([
  ["enough failures", [BAD, BAD, BAD, BAD], 3],
  ["half of them", [BAD, OK, OK, BAD], 3],
  ["fewer than half", [BAD, OK, OK, OK, BAD], undefined],
  ["too few attempts", [BAD, BAD, BAD], undefined],
  ["our own faults count for nothing", [BAD, BAD, BAD, OURS, OURS, BAD], 5],
  ["a success does not open", [BAD, BAD, BAD, OK, BAD], 4],
  ["the stretch before counts", [BAD, BAD, 1_000, BAD, BAD], 3],
  ["older ones do not", [BAD, BAD, 2_000, BAD, BAD], undefined],
  ["it begins anew after it has opened", [BAD, BAD, BAD, BAD, BAD, BAD, BAD], 3],
])("%s", (_what, steps, at) => {
  const opened = openings(...steps);
  expect(opened.indexOf(true)).toBe(at ?? -1);
  expect(opened.filter(Boolean)).toHaveLength(at === undefined ? 0 : 1);
});

test("what was heard of longest ago is forgotten first", () => {
  const breaker = new Breaker(LIMITS, () => 0);
  for (const id of ["a", "a", "a", "b", "c"]) expect(breaker.note(id, BAD)).toBe(false);
  expect(breaker.note("a", BAD)).toBe(false);
});
