/** Schedules of attempts as people write them. */

/** Entries of a schedule, and the longest single delay, milliseconds. */
export const SCHEDULE_ENTRIES_MAX = 50;
export const SCHEDULE_DELAY_MS_MAX = 7 * 86_400_000;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Reads a schedule such as `0s,5s,5m`: the delay before the first attempt, before the second, and so on, in
 * milliseconds. Units ms, s, m, h, d; 1 to SCHEDULE_ENTRIES_MAX entries of at most SCHEDULE_DELAY_MS_MAX each.
 * Throws RangeError whose message completes the setting's name ("takes …").
 */
export function parseSchedule(text: string): readonly number[] {
  const entries = text.split(",").map((entry) => entry.trim());
  if (entries.length > SCHEDULE_ENTRIES_MAX) {
    throw new RangeError(`takes at most ${SCHEDULE_ENTRIES_MAX} delays, not ${entries.length}`);
  }
  return Object.freeze(entries.map(parseDelay));
}

/** Reads the schedule of deliveries, whose first attempt is made at once. Throws RangeError like `parseSchedule`. */
export function parseDeliverySchedule(text: string): readonly number[] {
  const delays = parseSchedule(text);
  if (delays[0] !== 0) throw new RangeError("begins with 0s: the first attempt is made at once");
  return delays;
}

function parseDelay(entry: string): number {
  const [, amount, unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(entry) ?? [];
  const unitMs = UNIT_MS[unit];
  if (amount === undefined || unitMs === undefined) {
    throw new RangeError(`takes delays such as 0s,5s,5m,2h,1d (units ms, s, m, h, d), not "${entry}"`);
  }
  const delayMs = Number(amount) * unitMs;
  if (delayMs > SCHEDULE_DELAY_MS_MAX) throw new RangeError(`takes delays of at most 7d each, not "${entry}"`);
  return delayMs;
}
