import { expect, test } from "vitest";
import { ByteBudget } from "../../src/delivery/byte-budget.ts";

test("what fits is taken at once, what does not is refused or waits its turn", async () => {
  const budget = new ByteBudget(100);
  expect([budget.tryTake(60), budget.tryTake(50), budget.tryTake(40)]).toEqual([true, false, true]);
  const taken: number[] = [];
  const takes = [50, 10].map((bytes) => budget.take(bytes).then(() => taken.push(bytes)));
  // Nobody goes past those who wait.
  budget.give(40);
  expect([budget.held, budget.tryTake(10)]).toEqual([60, false]);
  budget.give(60);
  await Promise.all(takes);
  expect([taken, budget.held]).toEqual([[50, 10], 60]);
  budget.give(50);
  budget.give(10);
  expect(budget.held).toBe(0);
});

test("more than there is goes alone", async () => {
  const budget = new ByteBudget(100);
  expect(budget.tryTake(500)).toBe(true);
  expect(budget.tryTake(0)).toBe(false);
  const next = budget.take(30);
  budget.give(500);
  await next;
  expect(budget.held).toBe(30);
  expect(budget.tryTake(500)).toBe(false);
});
