/**
 * How many attempts are promised, loading or under way: in all, and at each destination. A destination at its share
 * gets no more until one of its attempts ends, so that one that hangs cannot hold the whole pool.
 */
export class Occupancy {
  readonly #max: number;
  readonly #destinationMax: number;
  readonly #byDestination = new Map<string, number>();
  #total = 0;

  constructor(max: number, destinationMax: number) {
    this.#max = max;
    this.#destinationMax = destinationMax;
  }

  /** Room for further attempts. */
  get room(): number {
    return Math.max(this.#max - this.#total, 0);
  }

  /** How many attempts may be claimed at once without giving any destination outside `saturated` more than its share. */
  get claimable(): number {
    const open = [...this.#byDestination.values()].filter((used) => used < this.#destinationMax);
    return Math.min(this.room, this.#destinationMax - Math.max(0, ...open));
  }

  /** Whether an attempt at this destination may begin. */
  admits(destinationId: string): boolean {
    return this.room > 0 && (this.#byDestination.get(destinationId) ?? 0) < this.#destinationMax;
  }

  /** Destinations that have their whole share. */
  saturated(): string[] {
    return [...this.#byDestination].filter(([, used]) => used >= this.#destinationMax).map(([id]) => id);
  }

  enter(destinationId: string): void {
    this.#total += 1;
    this.#byDestination.set(destinationId, (this.#byDestination.get(destinationId) ?? 0) + 1);
  }

  leave(destinationId: string): void {
    this.#total -= 1;
    const used = (this.#byDestination.get(destinationId) ?? 1) - 1;
    if (used > 0) this.#byDestination.set(destinationId, used);
    else this.#byDestination.delete(destinationId);
  }
}
