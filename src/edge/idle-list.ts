/**
 * A list of what is idle, the longest idle first. Every request takes its connection out and puts it back at the end,
 * which makes no garbage here.
 */
export interface Idle {
  before: Idle | undefined;
  after: Idle | undefined;
}

export class IdleList<Item extends Idle> implements Iterable<Item> {
  #first: Item | undefined;
  #last: Item | undefined;

  has(item: Item): boolean {
    return item.before !== undefined || item === this.#first;
  }

  /** Puts an item that is not in the list at its end. */
  add(item: Item): void {
    item.before = this.#last;
    if (this.#last) this.#last.after = item;
    else this.#first = item;
    this.#last = item;
  }

  /** Takes an item out; false if it is not in the list. */
  delete(item: Item): boolean {
    if (!this.has(item)) return false;
    const [before, after] = [item.before as Item | undefined, item.after as Item | undefined];
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    item.before = undefined;
    item.after = undefined;
    return true;
  }

  *[Symbol.iterator](): Iterator<Item> {
    for (let item = this.#first; item !== undefined; item = item.after as Item | undefined) yield item;
  }
}
