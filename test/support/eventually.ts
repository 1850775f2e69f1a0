import { setTimeout as sleep } from "node:timers/promises";

/** How often a condition of another process or of the database is looked at, milliseconds. */
const LOOK_EVERY_MS = 20;

/**
 * Looks until `look` resolves to something other than undefined or false; rejects after `withinMs` with `what`. For
 * what has no signal to wait for, such as rows that another process writes.
 */
export async function eventually<Result>(
  what: string,
  look: () => Promise<Result | undefined | false>,
  withinMs = 10_000,
): Promise<Result> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const result = await look();
    if (result !== undefined && result !== false) return result;
    if (performance.now() > untilMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(LOOK_EVERY_MS);
  }
}
