/** google.protobuf.Timestamp as RFC 3339 text: lists are full of times, and a Date for each is most of their cost. */
import { toJson } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

const DAY_SECONDS = 86_400;
const YEAR_9999_END_SECONDS = 253_402_300_799n;
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"));
const MINUTES_OF_DAY = TWO_DIGITS.slice(0, 24).flatMap((hour) => TWO_DIGITS.map((minute) => `T${hour}:${minute}:`));

/** Writes times in the form of proto3 JSON. Throws Error, as toJson does, on one outside of the years 1 to 9999. */
export function createTimestampWriter(): (time: Timestamp) => string {
  // Times that are written together mostly lie on the same day.
  let dateDay = -1;
  let date = "";
  // Some are the same: what was never changed has been updated when it was created.
  let last = { seconds: -1n, nanos: 0, text: "" };
  return (time) => {
    const { seconds, nanos } = time;
    if (seconds === last.seconds && nanos === last.nanos) return last.text;
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
    const second = whole - day * DAY_SECONDS;
    const minute = Math.trunc(second / 60);
    const text = [date, MINUTES_OF_DAY[minute], TWO_DIGITS[second - minute * 60], fraction(nanos), "Z"].join("");
    last = { seconds, nanos, text };
    return text;
  };
}

/** None, or three, six or nine digits. */
function fraction(nanos: number): string {
  if (nanos === 0) {
    return "";
  }
  const digits = String(nanos).padStart(9, "0");
  return `.${digits.replace(/(?:000){1,2}$/, "")}`;
}
