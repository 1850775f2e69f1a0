import type { Clock } from "../../src/clock.ts";

/** A clock that the test moves; it begins at the real time, because the database's clock is real. */
export class ManualClock implements Clock {
  #now = Date.now();

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}
