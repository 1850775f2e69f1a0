/**
 * What is under way, to be looked at in each sweep. Like a Set, whose members come and go with every request; but a Set
 * makes itself a new table now and then, and an old table that has outlived its youth keeps all that it held from the
 * garbage collector until the next full collection.
 */
export class Roster<Item> implements Iterable<Item> {
  readonly #entries: { readonly item: Item; place: number }[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** Adds an item; the function that it returns takes the item out again. It may be called more than once. */
  add(item: Item): () => void {
    const entry = { item, place: this.#entries.length };
    this.#entries.push(entry);
    return () => {
      const last = this.#entries.at(-1);
      if (last === undefined || this.#entries[entry.place] !== entry) return;
      // The last one moves into the gap.
      this.#entries[entry.place] = last;
      last.place = entry.place;
      this.#entries.pop();
    };
  }

  /** Those that were there when the look began. */
  [Symbol.iterator](): Iterator<Item> {
    return this.#entries.map(({ item }) => item)[Symbol.iterator]();
  }
}
