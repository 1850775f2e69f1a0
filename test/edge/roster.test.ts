import fc from "fast-check";
import { expect, test } from "vitest";
import { Roster } from "../../src/edge/roster.ts";

test("holds what was added and not taken out, in whatever order", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (steps) => {
      const roster = new Roster<number>();
      const removes = new Map<number, () => void>();
      for (const step of steps) {
        const remove = removes.get(step);
        if (remove) {
          remove();
          removes.delete(step);
        } else {
          removes.set(step, roster.add(step));
        }
      }
      expect(roster.size).toBe(removes.size);
      expect([...roster].sort()).toEqual([...removes.keys()].sort());
    }),
  );
});

test("taking out twice takes nobody else out", () => {
  const roster = new Roster<string>();
  const removeFirst = roster.add("first");
  const removeLast = roster.add("last");
  removeFirst();
  removeFirst();
  expect([...roster]).toEqual(["last"]);
  removeLast();
  removeLast();
  expect([roster.size, [...roster]]).toEqual([0, []]);
});

test("a look is not disturbed by what is taken out meanwhile", () => {
  const roster = new Roster<string>();
  const removes = ["a", "b", "c"].map((item) => roster.add(item));
  const seen: string[] = [];
  for (const item of roster) {
    seen.push(item);
    for (const remove of removes) remove();
  }
  expect(seen).toEqual(["a", "b", "c"]);
});
