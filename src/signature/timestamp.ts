/** Timestamps of signed requests: strict parsing and the distance from now. */
import type { CompiledTimestamp } from "./compile.ts";
import { bodyField, type InboundRequest } from "./request.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Digits only, and no more than a double holds exactly. */
const DIGITS = /^[0-9]{1,15}$/;
const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** The timestamp's exact text, from `listed` where it stands among the signatures; undefined where it is missing. */
export function timestampText(
  rule: CompiledTimestamp,
  request: InboundRequest,
  listed: string | undefined,
): string | undefined {
  switch (rule.place.from) {
    case "sig":
      return listed;
    case "header":
      return request.header(rule.place.name);
    case "body": {
      const value = bodyField(request, rule.place.path);
      return typeof value === "number" ? String(value) : typeof value === "string" ? value : undefined;
    }
  }
}

/**
 * Refuses a timestamp that is missing, malformed, too old or too far ahead; undefined if it holds. Seconds are
 * compared in whole seconds, as vendors do; other units in milliseconds. Bounds are inclusive.
 */
export function checkTimestamp(rule: CompiledTimestamp, text: string | undefined, nowMs: number): Refusal | undefined {
  const where = rule.place.from === "sig" ? `item ${rule.place.name} of the signature` : rule.place.name;
  if (text === undefined || text === "") return refusal("timestamp", `timestamp missing: ${where}`);
  const ageMs = ageMilliseconds(rule.unit, text, nowMs);
  if (ageMs === undefined) return refusal("timestamp", `timestamp malformed: ${where} must be ${FORMS[rule.unit]}`);
  return checkBound(ageMs, rule.pastSecondsMax, "old") ?? checkBound(-ageMs, rule.futureSecondsMax, "ahead");
}

const FORMS = {
  s: "seconds since 1970, digits only",
  ms: "milliseconds since 1970, digits only",
  iso: "an RFC 3339 time",
} as const;

/** How long ago, in milliseconds; undefined where the text is no timestamp. */
function ageMilliseconds(unit: CompiledTimestamp["unit"], text: string, nowMs: number): number | undefined {
  if (unit === "iso") {
    const time = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(time) ? undefined : nowMs - time;
  }
  if (!DIGITS.test(text)) return undefined;
  return unit === "ms" ? nowMs - Number(text) : (Math.floor(nowMs / 1000) - Number(text)) * 1000;
}

/** Written so that a distance that is not a number is refused. */
function checkBound(distanceMs: number, secondsMax: number | null, direction: string): Refusal | undefined {
  if (secondsMax === null || distanceMs <= secondsMax * 1000) return undefined;
  return refusal("timestamp", `timestamp ${distanceMs / 1000} s ${direction}, tolerance ${secondsMax} s`);
}
