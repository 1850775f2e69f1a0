/**
 * A counting semaphore with a bound for each key: attempts under way at the same time, in all and at each destination.
 * Of one key, first come is first served; keys that wait are served in turn.
 */
export class Slots {
  #max: number;
  #keyMax: number;
  #used = 0;
  readonly #usedBy = new Map<string, number>();
  /** Who waits, by key; the key whose turn it is stands first. */
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(max: number, keyMax = max) {
    this.#max = max;
    this.#keyMax = keyMax;
  }

  get used(): number {
    return this.#used;
  }

  /** Runs `work` in a slot, waiting for one if need be. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#isFree(key)) this.#enter(key);
    else await new Promise<void>((resolve) => this.#wait(key, resolve));
    try {
      return await work();
    } finally {
      this.#leave(key);
      this.#serve();
    }
  }

  /** Lets everybody in who waits, now and from now on. */
  open(): void {
    this.#max = Number.POSITIVE_INFINITY;
    this.#keyMax = Number.POSITIVE_INFINITY;
    this.#serve();
  }

  #isFree(key: string): boolean {
    return this.#used < this.#max && (this.#usedBy.get(key) ?? 0) < this.#keyMax;
  }

  #wait(key: string, resolve: () => void): void {
    const line = this.#waiting.get(key);
    if (line) line.push(resolve);
    else this.#waiting.set(key, [resolve]);
  }

  /** A slot is taken for whoever is let in before anybody else can ask. */
  #serve(): void {
    // A map is iterated in order of insertion, and goes on to what is inserted meanwhile.
    for (const [key, line] of this.#waiting) {
      if (this.#used >= this.#max) return;
      if (!this.#isFree(key)) continue;
      const next = line.shift();
      this.#waiting.delete(key);
      if (line.length > 0) this.#waiting.set(key, line);
      this.#enter(key);
      next?.();
    }
  }

  #enter(key: string): void {
    this.#used += 1;
    this.#usedBy.set(key, (this.#usedBy.get(key) ?? 0) + 1);
  }

  #leave(key: string): void {
    this.#used -= 1;
    const used = (this.#usedBy.get(key) ?? 1) - 1;
    if (used > 0) this.#usedBy.set(key, used);
    else this.#usedBy.delete(key);
  }
}
