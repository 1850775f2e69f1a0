/** A queue that owners share: whose turn it is, what a batch takes, and how much one owner may have waiting. */
import { describe, expect, test } from "vitest";
import { FairQueue } from "../../src/store/fair-queue.ts";

interface Item {
  readonly name: string;
  readonly bytes: number;
}

function queueOf(items: readonly string[], limits = { rowsMax: 1_000, bytesMax: 1_000 }): FairQueue<Item> {
  const queue = new FairQueue<Item>(limits);
  for (const name of items) expect(queue.push(name.charAt(0), { name, bytes: 1 }), name).toBeUndefined();
  return queue;
}

const names = (items: readonly Item[]): string => items.map((item) => item.name).join(" ");

describe("turns", () => {
  test("one owner: in order of arrival", () => {
    const queue = queueOf(["a1", "a2", "a3"]);
    expect([names(queue.take(2, 100)), names(queue.take(2, 100)), names(queue.take(2, 100))]).toEqual([
      "a1 a2",
      "a3",
      "",
    ]);
  });

  test("owners take turns, each in its own order", () => {
    const queue = queueOf(["a1", "a2", "a3", "a4", "b1", "b2", "c1"]);
    expect(names(queue.take(100, 100))).toBe("a1 b1 c1 a2 b2 a3 a4");
  });

  test("the next batch begins where the last one ended", () => {
    const queue = queueOf(["a1", "a2", "b1", "b2", "c1", "c2"]);
    expect([1, 2, 2, 1].map((rows) => names(queue.take(rows, 100)))).toEqual(["a1", "b1 c1", "a2 b2", "c2"]);
  });

  test("a quiet owner's item is in the next batch, however many another has waiting", () => {
    const queue = queueOf(Array.from({ length: 400 }, (_, n) => `a${n}`));
    queue.take(100, 1_000);
    queue.push("b", { name: "b", bytes: 1 });
    expect(names(queue.take(2, 100))).toContain("b");
  });

  test("bytes bound a batch, but not its first item", () => {
    const queue = new FairQueue<Item>({ rowsMax: 100, bytesMax: 1_000 });
    for (const [name, bytes] of [
      ["a1", 50],
      ["b1", 4],
      ["a2", 6],
      ["b2", 1],
    ] as const)
      queue.push(name.charAt(0), { name, bytes });
    expect([names(queue.take(100, 10)), names(queue.take(100, 10)), names(queue.take(100, 10))]).toEqual([
      "a1",
      "b1 a2",
      "b2",
    ]);
  });
});

describe("room", () => {
  const fill = (queue: FairQueue<Item>, owner: string | undefined, bytes = 1) => {
    for (let count = 0; ; count++) {
      const refusal = queue.push(owner, { name: "", bytes });
      if (refusal !== undefined) return [count, refusal];
    }
  };

  test("one owner has half of the rows, the next half of the rest, and so on", () => {
    const queue = new FairQueue<Item>({ rowsMax: 100, bytesMax: 10_000 });
    expect(["a", "b", "c"].map((owner) => fill(queue, owner))).toEqual([
      [50, "owner full"],
      [25, "owner full"],
      [13, "owner full"],
    ]);
    expect(queue.push("d", { name: "", bytes: 1 })).toBeUndefined();
  });

  test("one owner has half of the bytes", () => {
    const queue = new FairQueue<Item>({ rowsMax: 100, bytesMax: 100 });
    expect(fill(queue, "a", 10)).toEqual([5, "owner full"]);
    expect(queue.push("b", { name: "", bytes: 50 })).toBeUndefined();
    expect(queue.push("c", { name: "", bytes: 1 })).toBe("full");
  });

  test("what nobody owns may fill the queue", () => {
    const queue = new FairQueue<Item>({ rowsMax: 100, bytesMax: 1_000 });
    expect(fill(queue, undefined)).toEqual([100, "full"]);
  });

  test("an empty queue takes an item of any size, and room comes back", () => {
    const queue = new FairQueue<Item>({ rowsMax: 100, bytesMax: 10 });
    expect(queue.push("a", { name: "large", bytes: 50 })).toBeUndefined();
    expect(queue.push("b", { name: "", bytes: 1 })).toBe("full");
    expect(names(queue.take(100, 10))).toBe("large");
    expect(queue.length).toBe(0);
    expect(fill(queue, "a")).toEqual([5, "owner full"]);
  });
});
