/**
 * How many deliveries a worker holds that are promised, waiting for a slot or under way: in all, and for each
 * destination. A destination at its share gets no more until one of its deliveries ends, so that one that hangs cannot
 * hold the whole pool.
 *
 * Where deliveries end quickly, more may be held than are under way: as many as ended lately, so that they wait in
 * memory for a moment and no longer. The line behind a slow destination is the queue.
 */
export interface OccupancyLimits {
  /** Attempts under way: in all, and at one destination. */
  readonly max: number;
  readonly destinationMax: number;
  /** Deliveries that may wait for a slot: in all, and of one destination. */
  readonly lineMax: number;
  readonly destinationLineMax: number;
  /** How long one may wait if all goes on as it does, milliseconds. */
  readonly lineMs: number;
}

export class Occupancy {
  readonly #limits: OccupancyLimits;
  readonly #now: () => number;
  readonly #byDestination = new Map<string, Held>();
  readonly #all = new Held();

  constructor(limits: OccupancyLimits, now = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Room for further deliveries. */
  get room(): number {
    const { max, lineMax, lineMs } = this.#limits;
    return Math.max(max + this.#all.pace(this.#now(), lineMs, lineMax) - this.#all.count, 0);
  }

  /**
   * How many deliveries may be claimed at once without giving any destination outside `saturated` more than its share,
   * and one that is new more than half of the line. While others wait in line, it is worth waiting until there is room
   * for several.
   */
  get claimable(): number {
    const { destinationMax, lineMax, lineMs } = this.#limits;
    const line = this.#all.pace(this.#now(), lineMs, lineMax);
    const room = this.room;
    if (room < line / 4) return 0;
    const saturated = new Set(this.saturated());
    let claimable = Math.min(room, destinationMax + Math.floor(line / 2));
    for (const [id, held] of this.#byDestination) {
      if (!saturated.has(id)) claimable = Math.min(claimable, this.#roomOf(held));
    }
    return claimable;
  }

  /** Whether a delivery to this destination may be taken. */
  admits(destinationId: string): boolean {
    const held = this.#byDestination.get(destinationId);
    return this.room > 0 && (held === undefined || this.#roomOf(held) > 0);
  }

  /** Destinations that have their whole share, or so much of it that they wait for room for several. */
  saturated(): string[] {
    const { lineMs, destinationLineMax } = this.#limits;
    const isFull = (held: Held) => {
      const room = this.#roomOf(held);
      return room <= 0 || room < held.pace(this.#now(), lineMs, destinationLineMax) / 4;
    };
    return [...this.#byDestination].filter(([, held]) => isFull(held)).map(([id]) => id);
  }

  enter(destinationId: string): void {
    const held = this.#byDestination.get(destinationId) ?? new Held();
    this.#byDestination.set(destinationId, held);
    held.count += 1;
    this.#all.count += 1;
  }

  leave(destinationId: string): void {
    const { lineMs } = this.#limits;
    const held = this.#byDestination.get(destinationId);
    if (!held) return;
    for (const one of [held, this.#all]) one.end(this.#now(), lineMs);
    if (held.count === 0) this.#byDestination.delete(destinationId);
  }

  #roomOf(held: Held): number {
    const { destinationMax, destinationLineMax, lineMs } = this.#limits;
    return destinationMax + held.pace(this.#now(), lineMs, destinationLineMax) - held.count;
  }
}

/** Deliveries held, and how many of them ended lately. */
class Held {
  count = 0;
  #span = 0;
  #ended = 0;
  #endedBefore = 0;

  end(nowMs: number, lineMs: number): void {
    this.#turn(nowMs, lineMs);
    this.#ended += 1;
    this.count -= 1;
  }

  /** How many ended in a stretch of `lineMs` lately, `max` at most. */
  pace(nowMs: number, lineMs: number, max: number): number {
    this.#turn(nowMs, lineMs);
    return Math.min(Math.max(this.#ended, this.#endedBefore), max);
  }

  #turn(nowMs: number, lineMs: number): void {
    const span = Math.floor(nowMs / lineMs);
    if (span === this.#span) return;
    this.#endedBefore = span === this.#span + 1 ? this.#ended : 0;
    this.#ended = 0;
    this.#span = span;
  }
}
