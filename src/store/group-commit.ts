/**
 * Group commit: items that arrive while a batch is committing form the next one. No timer: an idle submit commits at
 * once. Bounded in rows and bytes of a batch, batches in flight, and rows and bytes that wait; past that a submit is
 * refused: with TOO_MANY_REQUESTS where its owner alone has too much waiting, else with SERVICE_UNAVAILABLE.
 */
import { AppError } from "../errors.ts";
import { FairQueue } from "./fair-queue.ts";
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

/** What a GroupCommit asks of its items. */
export interface ItemTraits<Item> {
  /** Weight against the byte bounds; 0 by default. */
  readonly bytesOf?: (item: Item) => number;
  /** Owners share the queue and each batch fairly; by default nobody owns anything. */
  readonly ownerOf?: (item: Item) => string;
}

export class GroupCommit<Item, Result> {
  readonly #commit: (items: Item[]) => Promise<(Result | Error)[]>;
  readonly #traits: ItemTraits<Item>;
  readonly #limits: GroupCommitLimits;
  readonly #queue: FairQueue<Waiting<Item, Result>>;
  #inFlight = 0;
  #scheduled = false;
  readonly #idle: (() => void)[] = [];

  /** `commit` gets the items of one batch and resolves to a result or an Error for each, in order. */
  constructor(
    commit: (items: Item[]) => Promise<(Result | Error)[]>,
    limits: GroupCommitLimits,
    traits: ItemTraits<Item> = {},
  ) {
    this.#commit = commit;
    this.#limits = limits;
    this.#traits = traits;
    this.#queue = new FairQueue({ rowsMax: limits.queueRowsMax, bytesMax: limits.queueBytesMax });
  }

  /** Items that wait for a batch. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Resolves once the item's batch has committed. */
  submit(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const bytes = this.#traits.bytesOf?.(item) ?? 0;
      const refusal = this.#queue.push(this.#traits.ownerOf?.(item), { item, bytes, resolve, reject });
      if (refusal === "full") reject(new AppError("SERVICE_UNAVAILABLE", "the server is full; try again shortly"));
      else if (refusal === "owner full") reject(new AppError("TOO_MANY_REQUESTS", "too many events at once"));
      else this.#schedule();
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
      const { inFlightMax, batchRowsMax, batchBytesMax } = this.#limits;
      while (this.#queue.length > 0 && this.#inFlight < inFlightMax) {
        void this.#run(this.#queue.take(batchRowsMax, batchBytesMax));
      }
    });
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
