/** Notices that a wall clock was set back, by a clock that only goes forward. Pure. */
export class ClockWatch {
  #lead: number | undefined;

  /** How far it has fallen back since the last look (0 if it has not), milliseconds; undefined at the first look. */
  look(wallMs: number, monotonicMs: number): number | undefined {
    const before = this.#lead;
    this.#lead = wallMs - monotonicMs;
    return before === undefined ? undefined : Math.max(Math.round(before - this.#lead), 0);
  }
}
