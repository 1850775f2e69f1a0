/** Retry-After (RFC 9110 §10.2.3): seconds, or an HTTP date in any of the three forms of §5.6.7. Pure. */
import { RETRY_AFTER_MS_MAX } from "./retry-policy.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const RFC_850 =
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const ASCTIME = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;

/**
 * How long to wait from `nowMs`, milliseconds, 0 to RETRY_AFTER_MS_MAX (more is cut to it, a past date is 0); null
 * for a value that is neither form.
 */
export function parseRetryAfter(value: string, nowMs: number): number | null {
  const text = value.trim();
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1_000 : waitUntil(parseHttpDate(text, nowMs), nowMs);
  return waitMs === null ? null : Math.min(Math.max(waitMs, 0), RETRY_AFTER_MS_MAX);
}

function waitUntil(dateMs: number | null, nowMs: number): number | null {
  return dateMs === null ? null : dateMs - nowMs;
}

function parseHttpDate(text: string, nowMs: number): number | null {
  const imf = IMF_FIXDATE.exec(text);
  if (imf) {
    const [, day, month, year, hour, minute, second] = imf;
    return dateOf(Number(year), month, day, hour, minute, second);
  }
  const rfc850 = RFC_850.exec(text);
  if (rfc850) {
    const [, day, month, year, hour, minute, second] = rfc850;
    return dateOf(fullYear(Number(year), nowMs), month, day, hour, minute, second);
  }
  const asctime = ASCTIME.exec(text);
  if (asctime) {
    const [, month, day, hour, minute, second, year] = asctime;
    return dateOf(Number(year), month, day, hour, minute, second);
  }
  return null;
}

/** A two-digit year more than 50 years ahead is the most recent past one with those digits (RFC 9110 §5.6.7). */
function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

function dateOf(year: number, month: string | undefined, ...rest: (string | undefined)[]): number | null {
  const [day = 0, hour = 0, minute = 0, second = 0] = rest.map(Number);
  const monthIndex = MONTHS.indexOf(month ?? "");
  if (monthIndex < 0 || hour > 23 || minute > 59 || second > 60) return null;
  const dateMs = Date.UTC(year, monthIndex, day, hour, minute, second);
  return new Date(Date.UTC(year, monthIndex, day)).getUTCDate() === day ? dateMs : null;
}
