/** google.protobuf.Timestamp as RFC 3339 text: lists are full of times, and a Date for each is most of their cost. */
import { toJson } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

const DAY_SECONDS = 86_400;
const YEAR_9999_END_SECONDS = 253_402_300_799n;
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"));

/** Writes times in the form of proto3 JSON. Throws Error, as toJson does, on one outside of the years 1 to 9999. */
export function createTimestampWriter(): (time: Timestamp) => string {
  // Times that are written together mostly lie on the same day.
  let dateDay = -1;
  let date = "";
  return (time) => {
    const { seconds, nanos } = time;
    if (seconds < 0n || seconds > YEAR_9999_END_SECONDS || nanos < 0 || nanos > 999_999_999) {
      return toJson(TimestampSchema, time) as string;
    }
    const whole = Number(seconds);
    const day = Math.trunc(whole / DAY_SECONDS);
    if (day !== dateDay) {
      dateDay = day;
      date = new Date(day * DAY_SECONDS * 1_000).toISOString().slice(0, "YYYY-MM-DD".length);
    }
    // Joined, so that it is one flat string: over any other JSON.stringify takes its slow way.
    return [date, "T", clock(whole - day * DAY_SECONDS), fraction(nanos), "Z"].join("");
  };
}

function clock(secondOfDay: number): string {
  const minuteOfDay = Math.trunc(secondOfDay / 60);
  const hour = Math.trunc(minuteOfDay / 60);
  return `${TWO_DIGITS[hour]}:${TWO_DIGITS[minuteOfDay - hour * 60]}:${TWO_DIGITS[secondOfDay - minuteOfDay * 60]}`;
}

/** None, or three, six or nine digits. */
function fraction(nanos: number): string {
  if (nanos === 0) {
    return "";
  }
  const digits = String(nanos).padStart(9, "0");
  return `.${digits.replace(/(?:000){1,2}$/, "")}`;
}
