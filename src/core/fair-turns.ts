/** Turns at something of which little may be under way at once: of those who wait, one of each owner in turn. */
export class FairTurns {
  readonly #max: number;
  /** Who waits, by owner, the one whose turn it is first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #underWay = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Does the work when the owner's turn has come. */
  async take<Result>(owner: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#underWay < this.#max) this.#underWay += 1;
    else await this.#turnOf(owner);
    try {
      return await work();
    } finally {
      this.#pass();
    }
  }

  #turnOf(owner: string): Promise<void> {
    return new Promise((resolve) => {
      const lane = this.#waiting.get(owner);
      if (lane) lane.push(resolve);
      else this.#waiting.set(owner, [resolve]);
    });
  }

  /** The turn goes to the next owner, or back. */
  #pass(): void {
    const [owner, lane] = this.#waiting.entries().next().value ?? ["", []];
    const begin = lane.shift();
    this.#waiting.delete(owner);
    if (lane.length > 0) this.#waiting.set(owner, lane);
    if (begin) begin();
    else this.#underWay -= 1;
  }
}
