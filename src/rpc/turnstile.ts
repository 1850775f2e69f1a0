/**
 * Lets so many calls pass in one turn of the event loop. The others wait for a later one, in which each lane has one in
 * turn. So a flood of streams that arrives at once is not worked off at once while somebody else's call waits behind
 * it, and whoever sends the next call only when the last is answered sends no more of them than are let through: to
 * answer late costs less than to refuse.
 */
import { AppError } from "../errors.ts";
import { FairQueue } from "../store/fair-queue.ts";

export interface TurnstileLimits {
  /** Calls that pass in one turn of the event loop. */
  readonly callsPerTurnMax: number;
  /** Calls that wait for a turn, in all lanes; one lane has half of it where it is alone. */
  readonly callsWaitingMax: number;
}

interface Waiting {
  readonly bytes: 0;
  readonly pass: () => void;
}

export class Turnstile {
  readonly #perTurn: number;
  readonly #queue: FairQueue<Waiting>;
  /** How many may still pass in this turn. */
  #left: number;
  #isTurning = false;

  constructor({ callsPerTurnMax, callsWaitingMax }: TurnstileLimits) {
    this.#perTurn = callsPerTurnMax;
    this.#left = callsPerTurnMax;
    this.#queue = new FairQueue({ rowsMax: callsWaitingMax, bytesMax: 0 });
  }

  /**
   * What to wait for before passing; nothing while few pass. Throws TOO_MANY_REQUESTS where the lane has too many that
   * wait, SERVICE_UNAVAILABLE where all of them together do.
   */
  enter(lane: string): Promise<void> | undefined {
    if (!this.#isTurning) this.#turn();
    if (this.#left > 0) {
      this.#left -= 1;
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const refusal = this.#queue.push(lane, { bytes: 0, pass: resolve });
    if (refusal === "full") throw new AppError("SERVICE_UNAVAILABLE", "the server is full; try again shortly");
    if (refusal) throw new AppError("TOO_MANY_REQUESTS", "too many calls wait; try again shortly");
    return promise;
  }

  /** The next turn is for those who wait, and what is left of it for those who come. */
  #turn(): void {
    this.#isTurning = true;
    setImmediate(() => {
      const next = this.#queue.take(this.#perTurn, 0);
      this.#left = this.#perTurn - next.length;
      this.#isTurning = false;
      if (next.length > 0) this.#turn();
      for (const { pass } of next) pass();
    });
  }
}
