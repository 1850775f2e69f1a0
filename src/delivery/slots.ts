/** A counting semaphore: attempts under way at the same time. First come, first served. */
export class Slots {
  readonly #max: number;
  #used = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Free slots, less those already waited for. */
  get free(): number {
    return Math.max(this.#max - this.#used - this.#waiting.length, 0);
  }

  get used(): number {
    return this.#used;
  }

  /** Runs `work` in a slot, waiting for one if need be. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#used >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#used += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#used -= 1;
    }
  }
}
