/**
 * Coalesced reads of the store: one runs at a time and takes every key that was asked for before it began, so that any
 * number of strangers' questions costs one query at a time. What is read is never older than the question.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../errors.ts";
import { unavailable } from "../store/batch-errors.ts";
import { onBehalfOfAll } from "../store/on-behalf.ts";

export interface LookupOptions<Value> {
  /** What there is of these keys, each named once. */
  readonly read: (keys: string[]) => Promise<ReadonlyMap<string, Value>>;
  /** Questions that one read answers. */
  readonly batchMax: number;
  /** Questions that wait for a read; those beyond are refused. */
  readonly waitingMax: number;
  /** Least time from the beginning of one read to that of the next, milliseconds. */
  readonly intervalMs?: number;
}

interface Waiting<Value> {
  readonly key: string;
  readonly resolve: (value: Value | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class Lookups<Value> {
  readonly #options: LookupOptions<Value>;
  #waiting: Waiting<Value>[] = [];
  #running = false;
  /** When the next read may begin, by performance.now(). */
  #nextMs = 0;

  constructor(options: LookupOptions<Value>) {
    this.#options = options;
  }

  /**
   * What there is of the key now; undefined if nothing is. Rejects with SERVICE_UNAVAILABLE if the store cannot be
   * read, or if too many wait.
   */
  find(key: string): Promise<Value | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= this.#options.waitingMax) {
        reject(new AppError("SERVICE_UNAVAILABLE", "the server is full; try again shortly"));
        return;
      }
      this.#waiting.push({ key, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    const { batchMax, intervalMs = 0 } = this.#options;
    this.#running = true;
    while (this.#waiting.length > 0) {
      const waitMs = this.#nextMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      this.#nextMs = performance.now() + intervalMs;
      await this.#readBatch(this.#waiting.splice(0, batchMax));
    }
    this.#running = false;
  }

  async #readBatch(batch: Waiting<Value>[]): Promise<void> {
    try {
      const keys = [...new Set(batch.map((waiting) => waiting.key))];
      const values = await onBehalfOfAll(() => this.#options.read(keys));
      for (const waiting of batch) waiting.resolve(values.get(waiting.key));
    } catch (error) {
      for (const waiting of batch) waiting.reject(unavailable(error));
    }
  }
}
