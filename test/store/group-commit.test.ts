/** Group commit: who goes into which batch, what bounds it, and what failures do. Commits end when the test says so. */
import { describe, expect, test } from "vitest";
import { AppError } from "../../src/errors.ts";
import { GroupCommit, type GroupCommitLimits } from "../../src/store/group-commit.ts";

const ROOMY: GroupCommitLimits = {
  batchRowsMax: 100,
  batchBytesMax: 1_000,
  inFlightMax: 1,
  queueRowsMax: 100,
  queueBytesMax: 10_000,
};

interface Batch {
  readonly items: number[];
  finish(results?: (string | Error)[]): void;
  fail(error: Error): void;
}

/** Items are numbers, and weigh as many bytes; the result of one is its text. */
function harness(limits: Partial<GroupCommitLimits> = {}) {
  const batches: Batch[] = [];
  const group = new GroupCommit<number, string>(
    (items) =>
      new Promise((resolve, reject) => {
        batches.push({ items, finish: (results = items.map(String)) => resolve(results), fail: reject });
      }),
    { ...ROOMY, ...limits },
    { bytesOf: (item) => item },
  );
  return {
    group,
    submit: (...items: number[]) => items.map((item) => group.submit(item)),
    /** Items of the batches started so far. */
    started: () => batches.map((batch) => batch.items),
    batch: (index: number): Batch => {
      const batch = batches[index];
      if (!batch) throw new Error(`no batch ${index}`);
      return batch;
    },
  };
}

/** The next turn of the event loop, after which what was scheduled has started. */
const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "resolved",
    (error: unknown) => (error instanceof AppError ? error.reason : String(error)),
  );
}

describe("batches", () => {
  test("what arrives together commits together, in order", async () => {
    const { submit, started, batch } = harness();
    const results = submit(1, 2, 3);
    expect(started()).toEqual([]);
    await turn();
    expect(started()).toEqual([[1, 2, 3]]);
    batch(0).finish();
    expect(await Promise.all(results)).toEqual(["1", "2", "3"]);
  });

  test("what arrives during a commit forms the next batch", async () => {
    const { submit, started, batch } = harness();
    submit(1);
    await turn();
    submit(2);
    await turn();
    submit(3, 4);
    await turn();
    expect(started()).toEqual([[1]]);
    batch(0).finish();
    await turn();
    expect(started()).toEqual([[1], [2, 3, 4]]);
  });

  test("as many batches as may be in flight, and no more", async () => {
    const { submit, started, batch } = harness({ inFlightMax: 2 });
    for (const item of [1, 2, 3]) {
      submit(item);
      await turn();
    }
    submit(4);
    await turn();
    expect(started()).toEqual([[1], [2]]);
    batch(1).finish();
    await turn();
    expect(started()).toEqual([[1], [2], [3, 4]]);
  });

  test.each([
    ["rows", { batchRowsMax: 2 }, [1, 2, 3, 4, 5], [[1, 2], [3, 4], [5]]],
    ["bytes", { batchBytesMax: 10 }, [4, 6, 1, 9, 5, 6], [[4, 6], [1, 9], [5], [6]]],
    ["an item above the bound goes alone", { batchBytesMax: 10 }, [50, 1, 60], [[50], [1], [60]]],
  ])("bounded: %s", async (_name, limits, items, expected) => {
    const { group, submit, started, batch } = harness(limits);
    const results = Promise.all(submit(...items));
    for (let index = 0; index < expected.length; index++) {
      await turn();
      batch(index).finish();
    }
    expect(await results).toEqual(items.map(String));
    expect(started()).toEqual(expected);
    await group.drain();
  });
});

describe("a full queue refuses", () => {
  test("by rows; what is in flight does not count, and room comes back", async () => {
    const { submit, batch } = harness({ queueRowsMax: 2 });
    submit(1);
    await turn();
    const [, , third] = submit(2, 3, 4);
    expect(third && (await codeOf(third))).toBe("SERVICE_UNAVAILABLE");
    batch(0).finish();
    await turn();
    const [later] = submit(5);
    batch(1).finish();
    await turn();
    batch(2).finish();
    expect(await later).toBe("5");
  });

  test("by bytes; an item larger than the bound is taken by an empty queue", async () => {
    const { submit, batch } = harness({ queueBytesMax: 10 });
    submit(1);
    await turn();
    const [large] = submit(50);
    const [refused] = submit(1);
    expect(refused && (await codeOf(refused))).toBe("SERVICE_UNAVAILABLE");
    batch(0).finish();
    await turn();
    const [fits, exactly] = submit(4, 6);
    const [over] = submit(1);
    expect(over && (await codeOf(over))).toBe("SERVICE_UNAVAILABLE");
    batch(1).finish();
    await turn();
    batch(2).finish();
    expect(await Promise.all([large, fits, exactly])).toEqual(["50", "4", "6"]);
  });
});

test("an owner that has too much waiting is refused by itself, and others are in the next batch", async () => {
  const batches: string[][] = [];
  const ends: (() => void)[] = [];
  const group = new GroupCommit<string, string>(
    (items) => {
      batches.push(items);
      return new Promise((resolve) => ends.push(() => resolve(items)));
    },
    { ...ROOMY, batchRowsMax: 3, queueRowsMax: 8 },
    { ownerOf: (item) => item.charAt(0) },
  );
  const flood = ["a1", "a2", "a3", "a4", "a5"].map((item) => codeOf(group.submit(item)));
  const quiet = group.submit("b1");
  expect(await flood[4]).toBe("TOO_MANY_REQUESTS");
  await turn();
  expect(batches).toEqual([["a1", "b1", "a2"]]);
  ends[0]?.();
  expect(await quiet).toBe("b1");
  await turn();
  ends[1]?.();
  expect(await Promise.all(flood.slice(0, 4))).toEqual(["resolved", "resolved", "resolved", "resolved"]);
});

describe("failures", () => {
  test("an Error among the results fails its own item only", async () => {
    const { submit, batch } = harness();
    const results = submit(1, 2, 3);
    await turn();
    batch(0).finish(["1", new AppError("BAD_REQUEST", "bad row"), "3"]);
    expect(await Promise.all(results.map(codeOf))).toEqual(["resolved", "BAD_REQUEST", "resolved"]);
  });

  test("a commit that rejects fails its batch, and the next batch goes on", async () => {
    const { submit, batch } = harness();
    const results = submit(1, 2);
    await turn();
    const next = submit(3);
    batch(0).fail(new AppError("SERVICE_UNAVAILABLE", "down"));
    expect(await Promise.all(results.map(codeOf))).toEqual(["SERVICE_UNAVAILABLE", "SERVICE_UNAVAILABLE"]);
    await turn();
    batch(1).finish();
    expect(await Promise.all(next)).toEqual(["3"]);
  });
});

describe("drain", () => {
  test("resolves at once where nothing is under way", async () => {
    await harness().group.drain();
  });

  test("waits for what is in flight and what waits, failures included", async () => {
    const { group, submit, batch } = harness();
    const first = submit(1).map(codeOf);
    await turn();
    const second = submit(2).map(codeOf);
    let isDrained = false;
    const drained = Promise.all([group.drain(), group.drain()]).then(() => {
      isDrained = true;
    });
    batch(0).fail(new Error("down"));
    await turn();
    expect(isDrained).toBe(false);
    batch(1).finish();
    await drained;
    expect(await Promise.all([...first, ...second])).toEqual(["Error: down", "resolved"]);
  });
});
