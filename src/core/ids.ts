import { randomInt, randomUUID } from "node:crypto";

/** How far the clocks may fall back before ids follow it, milliseconds; until then they keep their order. */
const FALLBACK_MS_MAX = 10_000;
/** The 12 bits of rand_a count ids of one millisecond (RFC 9562 §6.2, method 1); each begins in the lower half. */
const COUNTER_MAX = 0xfff;
const COUNTER_START_MAX = 0x800;

let lastMs = 0;
let counter = 0;
/** What is to be added to the clock that only goes forward to get the database's time, milliseconds. */
let databaseLeadMs = Number.NEGATIVE_INFINITY;

/**
 * Tells ids what the database's clock says, milliseconds since the Unix epoch. Ids take the later of both clocks: one
 * that is behind would give events an age at which history is dropped.
 */
export function noteDatabaseTime(nowMs: number): void {
  databaseLeadMs = nowMs - performance.now();
}

/**
 * A new id: UUIDv7 (RFC 9562 §5.7), so that ids sort by time and say in which partition a row lies. Those of one
 * process are in the order of their making, also within a millisecond.
 */
export function newId(): string {
  const nowMs = Math.max(Date.now(), Math.floor(databaseLeadMs + performance.now()));
  if (nowMs > lastMs || nowMs < lastMs - FALLBACK_MS_MAX) {
    lastMs = nowMs;
    counter = randomInt(COUNTER_START_MAX);
  } else if (counter < COUNTER_MAX) {
    counter += 1;
  } else {
    lastMs += 1;
    counter = randomInt(COUNTER_START_MAX);
  }
  const time = lastMs.toString(16).padStart(12, "0");
  // The tail of a random UUID: variant and 62 random bits.
  const tail = randomUUID().slice(19);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, "0")}-${tail}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const isUuid = (text: string): boolean => UUID.test(text);
