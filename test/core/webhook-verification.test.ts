/** What a patch of verification settings means against those that stand. */
import { expect, test } from "vitest";
import { resolveVerification } from "../../src/core/webhook-verification.ts";
import type { Verification } from "../../src/signature/verification/settings.ts";

const STANDING: Verification = {
  scheme: "hmac",
  header: "x-sig",
  content: "{ts}.{body}",
  timestamp: { header: "x-time", unit: "ms", toleranceSeconds: 60 },
  eventType: ["j:kind"],
  eventId: ["j:id"],
  repeats: "signed-id",
};
const NAMES = { eventType: ["j:kind"], eventId: ["j:id"], repeats: "signed-id" };

const cases: [name: string, given: object | null, paths: readonly string[] | undefined, expected: object | null][] = [
  ["whole: replaced", { scheme: "none" }, undefined, { scheme: "none" }],
  ["whole: null", null, undefined, null],
  ["whole: empty is null", {}, undefined, null],
  ["one setting: the others stay", { header: "x-new" }, ["header"], { ...STANDING, header: "x-new" }],
  ["one that is not given goes", {}, ["content"], without("content")],
  ["a list is replaced", { eventType: ["h:x-event"] }, ["eventType"], { ...STANDING, eventType: ["h:x-event"] }],
  ["what no path names is not meant", { header: "x-new", prefix: "v1=" }, ["prefix"], { ...STANDING, prefix: "v1=" }],
  [
    "a nested setting: those beside it stay",
    { timestamp: { unit: "s" } },
    ["timestamp.unit"],
    { ...STANDING, timestamp: { header: "x-time", unit: "s", toleranceSeconds: 60 } },
  ],
  [
    "a nested setting that is not given goes",
    {},
    ["timestamp.unit"],
    { ...STANDING, timestamp: { header: "x-time", toleranceSeconds: 60 } },
  ],
  [
    "a nested object: replaced",
    { timestamp: { listKey: "t" } },
    ["timestamp"],
    { ...STANDING, timestamp: { listKey: "t" } },
  ],
  [
    "an object whose last setting goes, goes too",
    {},
    ["timestamp.header", "timestamp.unit", "timestamp.toleranceSeconds"],
    without("timestamp"),
  ],
  [
    "a setting in an object that is not there",
    { key: { prefix: "k_" } },
    ["key.prefix"],
    { ...STANDING, key: { prefix: "k_" } },
  ],
  ["nothing in an object that is not there", {}, ["key.prefix"], STANDING],
  [
    "the same scheme: as any setting",
    { scheme: "hmac", prefix: "v1=" },
    ["scheme", "prefix"],
    { ...STANDING, prefix: "v1=" },
  ],
  [
    "another scheme starts anew, with the names of events",
    { scheme: "token", header: "x-token" },
    ["scheme", "header"],
    { scheme: "token", header: "x-token", ...NAMES },
  ],
  ["no scheme starts anew too", {}, ["scheme"], NAMES],
  ["every setting taken away: null", {}, ["scheme", "eventType", "eventId", "repeats"], null],
];

function without(name: keyof Verification): object {
  const { [name]: _, ...rest } = STANDING;
  return rest;
}

test.each(cases)("%s", (_name, verification, verificationPaths, expected) => {
  const patch = { verification, ...(verificationPaths === undefined ? {} : { verificationPaths }) };
  const before = structuredClone(STANDING);
  expect(resolveVerification(STANDING, patch)).toEqual(expected);
  expect(STANDING).toEqual(before);
});

test("a patch without it leaves what stands", () => {
  expect(resolveVerification(STANDING, {})).toBe(STANDING);
  expect(resolveVerification(null, {})).toBeNull();
});

test("on nothing a single setting stands alone", () => {
  const patch = {
    verification: { timestamp: { toleranceSeconds: 9 } },
    verificationPaths: ["timestamp.toleranceSeconds"],
  };
  expect(resolveVerification(null, patch)).toEqual({ timestamp: { toleranceSeconds: 9 } });
});
