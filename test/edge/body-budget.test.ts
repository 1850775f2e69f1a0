/** The account of bytes in memory: what fits, whose share it is, and that everything comes back. */
import { describe, expect, test } from "vitest";
import { BodyBudget, type BodyHold } from "../../src/edge/body-budget.ts";
import { AppError } from "../../src/errors.ts";

const budgetOf = (bodyBytesInMemoryMax: number, bodyClientShare = 1) =>
  new BodyBudget({ bodyBytesInMemoryMax, bodyClientShare });

function taken(hold: BodyHold, bytes: number): string {
  try {
    hold.take(bytes);
    return "taken";
  } catch (error) {
    return error instanceof AppError ? error.reason : String(error);
  }
}

test("what is over the budget is refused, and does not count", () => {
  const budget = budgetOf(100);
  const [one, two] = [budget.open("a"), budget.open("b")];
  expect([taken(one, 60), taken(two, 41), taken(two, 40), taken(two, 1)]).toEqual([
    "taken",
    "SERVICE_UNAVAILABLE",
    "taken",
    "SERVICE_UNAVAILABLE",
  ]);
  expect(budget.bytes).toBe(100);
});

test("opening an account takes no room", () => {
  const budget = budgetOf(100);
  for (let n = 0; n < 1_000; n++) budget.open("a");
  expect(budget.bytes).toBe(0);
});

describe("one client", () => {
  test("has no more than its share, over all its requests", () => {
    const budget = budgetOf(100, 0.5);
    expect(taken(budget.open("a"), 30)).toBe("taken");
    expect(taken(budget.open("a"), 20)).toBe("taken");
    expect(taken(budget.open("a"), 1)).toBe("TOO_MANY_REQUESTS");
    expect(taken(budget.open("b"), 50)).toBe("taken");
  });

  test("has its share again once it is given back", () => {
    const budget = budgetOf(100, 0.5);
    const hold = budget.open("a");
    hold.take(50);
    hold.release();
    expect(taken(budget.open("a"), 50)).toBe("taken");
  });
});

test("a hold gives back what it took, once", () => {
  const budget = budgetOf(100);
  const [one, two] = [budget.open("a"), budget.open("a")];
  one.take(10);
  one.take(20);
  two.take(40);
  one.release();
  one.release();
  expect(budget.bytes).toBe(40);
  two.release();
  expect(budget.bytes).toBe(0);
});
