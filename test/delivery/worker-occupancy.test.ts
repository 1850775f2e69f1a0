import { expect, test } from "vitest";
import { Occupancy } from "../../src/delivery/occupancy.ts";

/** A pool of 6, 3 of them for each destination, with these under way. */
function occupied(...destinations: string[]): Occupancy {
  const occupancy = new Occupancy(6, 3);
  for (const id of destinations) occupancy.enter(id);
  return occupancy;
}

test.each([
  { under: [], room: 6, claimable: 3, saturated: [], a: true },
  { under: ["a"], room: 5, claimable: 2, saturated: [], a: true },
  { under: ["a", "a", "a"], room: 3, claimable: 3, saturated: ["a"], a: false },
  { under: ["a", "a", "a", "b"], room: 2, claimable: 2, saturated: ["a"], a: false },
  { under: ["a", "a", "b", "b", "b"], room: 1, claimable: 1, saturated: ["b"], a: true },
  { under: ["a", "a", "a", "b", "b", "b"], room: 0, claimable: 0, saturated: ["a", "b"], a: false },
  { under: ["b", "c", "d", "e", "f", "g"], room: 0, claimable: 0, saturated: [], a: false },
])("$under", ({ under, room, claimable, saturated, a }) => {
  const occupancy = occupied(...under);
  expect(occupancy.room).toBe(room);
  expect(occupancy.claimable).toBe(claimable);
  expect(occupancy.saturated()).toEqual(saturated);
  expect(occupancy.admits("a")).toBe(a);
});

test("what leaves makes room, and leaves nothing behind", () => {
  const occupancy = occupied("a", "a", "a", "b");
  for (const id of ["a", "a", "a", "b"]) occupancy.leave(id);
  expect(occupancy.room).toBe(6);
  expect(occupancy.saturated()).toEqual([]);
  expect(occupancy.admits("a")).toBe(true);
});
