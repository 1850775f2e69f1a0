/** Timestamps of signed requests: strict parsing and the distance from now. */
import type { CompiledPlace } from "./place.ts";
import { bodyField, type InboundRequest } from "./request.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Digits only, and no more than a double holds exactly. */
const DIGITS = /^[0-9]{1,15}$/;
/** The only length that digits may have where the text before or after them could give some up. */
const FIXED = { s: /^[0-9]{10}$/, ms: /^[0-9]{13}$/ };
const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

export interface CompiledTimestamp {
  readonly place: CompiledPlace | { readonly from: "sig"; readonly name: string };
  readonly unit: "s" | "ms" | "iso";
  readonly pastSecondsMax: number | null;
  readonly futureSecondsMax: number | null;
  /** Whether text does not count as a number. */
  readonly numberOnly: boolean;
  /** What of a body the timestamp is, where it stands there. */
  readonly pattern: RegExp | undefined;
  /** Whether its length is fixed, because nothing separates it from its neighbours in what is signed. */
  readonly fixedLength: boolean;
}

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
      if (typeof value === "number") return String(value);
      return typeof value === "string" && !rule.numberOnly ? value : undefined;
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
  const ageMs = ageMilliseconds(rule, text, nowMs);
  if (ageMs === undefined) return refusal("timestamp", `timestamp malformed: ${where} must be ${FORMS[rule.unit]}`);
  return checkBound(ageMs, rule.pastSecondsMax, "old") ?? checkBound(-ageMs, rule.futureSecondsMax, "ahead");
}

const FORMS = {
  s: "seconds since 1970, digits only",
  ms: "milliseconds since 1970, digits only",
  iso: "an RFC 3339 time",
} as const;

/** How long ago, in milliseconds; undefined where the text is no timestamp. */
function ageMilliseconds(rule: CompiledTimestamp, text: string, nowMs: number): number | undefined {
  const { unit, fixedLength, numberOnly } = rule;
  if (unit === "iso") {
    const time = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(time) ? undefined : nowMs - time;
  }
  if (!numberOnly && !(fixedLength ? FIXED[unit] : DIGITS).test(text)) return undefined;
  return unit === "ms" ? nowMs - Number(text) : (Math.floor(nowMs / 1000) - Number(text)) * 1000;
}

/** Written so that a distance that is not a number is refused. */
function checkBound(distanceMs: number, secondsMax: number | null, direction: string): Refusal | undefined {
  if (secondsMax === null || distanceMs <= secondsMax * 1000) return undefined;
  return refusal("timestamp", `timestamp ${distanceMs / 1000} s ${direction}, tolerance ${secondsMax} s`);
}

/** A timestamp as the sender writes it. */
export function writeTimestamp(unit: CompiledTimestamp["unit"], nowMs: number): string {
  if (unit === "iso") return new Date(nowMs).toISOString();
  return String(Math.floor(unit === "s" ? nowMs / 1000 : nowMs));
}

/** What `withoutTimestamp` takes out: the value of every member of that name. */
export function stampPattern(path: readonly string[]): RegExp {
  const name = JSON.stringify(path.at(-1)).replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(${name}\\s*:)\\s*(?:"[^"]*"|[-+.0-9eE]+)`, "g");
}

/** A body without its timestamp, which is made anew for each try. */
export function withoutTimestamp(pattern: RegExp, body: Buffer): string {
  return body.toString("latin1").replaceAll(pattern, "$1");
}
