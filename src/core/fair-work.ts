/**
 * Work that strangers can cause and that takes the processor: done in slices, one of each client in turn, with a rest
 * after each, so that everything else goes on and no client waits for the work of another.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../errors.ts";

/** Works that are not done yet: of one client, and of all. */
export interface FairWorkLimits {
  readonly perClientMax: number;
  readonly max: number;
}

/** How long one slice may take, and the rest after it, milliseconds: a quarter of one processor. */
const SLICE_MS = 1;
const REST_MS = 3;

interface Work {
  readonly steps: Iterator<void, unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class FairWork {
  readonly #limits: FairWorkLimits;
  /** Clients that have work, the one whose turn it is first. */
  readonly #lanes = new Map<string, Work[]>();
  #count = 0;
  #running = false;

  constructor(limits: FairWorkLimits) {
    this.#limits = limits;
  }

  /**
   * Resolves to what the iterator returns once it is done, and rejects with what it throws. Each of its steps is short.
   * Throws TOO_MANY_REQUESTS or SERVICE_UNAVAILABLE where too much waits.
   */
  do<Result>(client: string, steps: Iterator<void, Result>): Promise<Result> {
    const lane = this.#lanes.get(client) ?? [];
    if (lane.length >= this.#limits.perClientMax) {
      throw new AppError("TOO_MANY_REQUESTS", "too many requests at once from one address");
    }
    if (this.#count >= this.#limits.max) {
      throw new AppError("SERVICE_UNAVAILABLE", "the server is full; try again shortly");
    }
    return new Promise((resolve, reject) => {
      lane.push({ steps, resolve: resolve as Work["resolve"], reject });
      this.#lanes.set(client, lane);
      this.#count += 1;
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#lanes.size > 0) {
      const endMs = performance.now() + SLICE_MS;
      let isSpent = false;
      while (!isSpent && this.#lanes.size > 0) isSpent = !this.#advance(endMs);
      if (isSpent) await sleep(REST_MS);
    }
    this.#running = false;
  }

  /** Does the next client's first work until it is done or the slice has ended; tells whether the slice goes on. */
  #advance(endMs: number): boolean {
    const [client, lane] = this.#lanes.entries().next().value ?? ["", []];
    const [work] = lane;
    this.#lanes.delete(client);
    const isDone = work === undefined || runUntil(work, endMs);
    if (isDone) this.#count -= lane.splice(0, 1).length;
    if (lane.length > 0) this.#lanes.set(client, lane);
    return isDone && performance.now() < endMs;
  }
}

/** Takes at least one step; tells whether the work is done. */
function runUntil({ steps, resolve, reject }: Work, endMs: number): boolean {
  try {
    do {
      const { done, value } = steps.next();
      if (!done) continue;
      resolve(value);
      return true;
    } while (performance.now() < endMs);
    return false;
  } catch (error) {
    reject(error);
    return true;
  }
}
