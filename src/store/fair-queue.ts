/**
 * A bounded queue with a lane for each owner. A batch takes one item of each lane in turn, so that a quiet owner's item
 * is in the next batch however many another one has waiting; and a lane may hold as much as is left free, half of the
 * queue where it is alone, so that there is always room for one more owner.
 */

/** Bounds of what waits, in items and in bytes. */
export interface FairQueueLimits {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

interface Node<Item> {
  readonly item: Item;
  next: Node<Item> | undefined;
}

interface Lane<Item> {
  first: Node<Item>;
  last: Node<Item>;
  rows: number;
  bytes: number;
}

/** Why an item is not taken in: the queue is full, or its owner has as much of it as may be. */
export type Refusal = "full" | "owner full";

export class FairQueue<Item extends { readonly bytes: number }> {
  readonly #limits: FairQueueLimits;
  /** Lanes that are not empty, the one whose turn it is first. */
  readonly #lanes = new Map<string | undefined, Lane<Item>>();
  #rows = 0;
  #bytes = 0;

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#rows;
  }

  /** Takes an item in; an empty queue takes one of any size. What nobody owns may fill the queue. */
  push(owner: string | undefined, item: Item): Refusal | undefined {
    const lane = this.#lanes.get(owner);
    const refusal = this.#refuse(owner === undefined ? undefined : lane, item.bytes);
    if (refusal !== undefined) return refusal;
    const node: Node<Item> = { item, next: undefined };
    if (lane) {
      lane.last.next = node;
      lane.last = node;
      lane.rows += 1;
      lane.bytes += item.bytes;
    } else {
      this.#lanes.set(owner, { first: node, last: node, rows: 1, bytes: item.bytes });
    }
    this.#rows += 1;
    this.#bytes += item.bytes;
    return undefined;
  }

  /** Removes items for one batch: at most so many, and so many bytes unless the first alone has more. */
  take(rowsMax: number, bytesMax: number): Item[] {
    const taken: Item[] = [];
    let bytes = 0;
    // A map is iterated in order of insertion, and goes on to what is inserted meanwhile.
    for (const [owner, lane] of this.#lanes) {
      const { item } = lane.first;
      if (taken.length === rowsMax || (taken.length > 0 && bytes + item.bytes > bytesMax)) break;
      taken.push(item);
      bytes += item.bytes;
      this.#shift(owner, lane);
    }
    return taken;
  }

  #refuse(lane: Lane<Item> | undefined, bytes: number): Refusal | undefined {
    if (this.#rows === 0) return undefined;
    const freeRows = this.#limits.rowsMax - this.#rows;
    const freeBytes = this.#limits.bytesMax - this.#bytes;
    if (freeRows < 1 || freeBytes < bytes) return "full";
    if (!lane) return undefined;
    return lane.rows >= freeRows || lane.bytes + bytes > freeBytes ? "owner full" : undefined;
  }

  /** Removes the lane's first item; its turn comes again after those of all others. */
  #shift(owner: string | undefined, lane: Lane<Item>): void {
    const { first } = lane;
    const { item, next } = first;
    // A link that stays would let each item that has grown old keep all that followed it from the garbage collector.
    first.next = undefined;
    this.#rows -= 1;
    this.#bytes -= item.bytes;
    this.#lanes.delete(owner);
    if (next === undefined) return;
    lane.first = next;
    lane.rows -= 1;
    lane.bytes -= item.bytes;
    this.#lanes.set(owner, lane);
  }
}
