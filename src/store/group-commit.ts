/**
 * Group commit: items that arrive while a batch is committing form the next one. No timer: an idle submit commits at
 * once. Bounded in rows and bytes of a batch, batches in flight, and rows and bytes that wait; past that a submit is
 * refused with SERVICE_UNAVAILABLE.
 */
import { AppError } from "../errors.ts";
import { onBehalfOfAll } from "./on-behalf.ts";

/** Bounds of a GroupCommit. */
export interface GroupCommitLimits {
  readonly batchRowsMax: number;
  readonly batchBytesMax: number;
  readonly inFlightMax: number;
  readonly queueRowsMax: number;
  readonly queueBytesMax: number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly bytes: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit<Item, Result> {
  readonly #commit: (items: Item[]) => Promise<(Result | Error)[]>;
  readonly #bytesOf: (item: Item) => number;
  readonly #limits: GroupCommitLimits;
  #queue: Waiting<Item, Result>[] = [];
  #queueBytes = 0;
  #inFlight = 0;
  #scheduled = false;
  readonly #idle: (() => void)[] = [];

  /** `commit` gets the items of one batch and resolves to a result or an Error for each, in order. */
  constructor(
    commit: (items: Item[]) => Promise<(Result | Error)[]>,
    limits: GroupCommitLimits,
    bytesOf: (item: Item) => number = () => 0,
  ) {
    this.#commit = commit;
    this.#limits = limits;
    this.#bytesOf = bytesOf;
  }

  /** Resolves once the item's batch has committed. */
  submit(item: Item): Promise<Result> {
    const bytes = this.#bytesOf(item);
    const { queueRowsMax, queueBytesMax } = this.#limits;
    if (this.#queue.length >= queueRowsMax || (this.#queue.length > 0 && this.#queueBytes + bytes > queueBytesMax)) {
      return Promise.reject(new AppError("SERVICE_UNAVAILABLE", "the server is full; try again shortly"));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, bytes, resolve, reject });
      this.#queueBytes += bytes;
      this.#schedule();
    });
  }

  /** Resolves once nothing waits or is in flight. */
  async drain(): Promise<void> {
    while (this.#inFlight > 0 || this.#queue.length > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  /** Starts a batch after the current turn of the event loop, so that what arrived together commits together. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= this.#limits.inFlightMax) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#queue.length > 0 && this.#inFlight < this.#limits.inFlightMax) void this.#run(this.#take());
    });
  }

  #take(): Waiting<Item, Result>[] {
    let rows = 0;
    let bytes = 0;
    for (const waiting of this.#queue) {
      if (rows === this.#limits.batchRowsMax) break;
      if (rows > 0 && bytes + waiting.bytes > this.#limits.batchBytesMax) break;
      rows += 1;
      bytes += waiting.bytes;
    }
    this.#queueBytes -= bytes;
    return this.#queue.splice(0, rows);
  }

  async #run(batch: Waiting<Item, Result>[]): Promise<void> {
    this.#inFlight += 1;
    try {
      const items = batch.map((waiting) => waiting.item);
      const results = await onBehalfOfAll(() => this.#commit(items));
      for (const [index, waiting] of batch.entries()) {
        const result = results[index];
        if (result instanceof Error) waiting.reject(result);
        else waiting.resolve(result as Result);
      }
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    } finally {
      this.#inFlight -= 1;
      if (this.#queue.length > 0) this.#schedule();
      else if (this.#inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
