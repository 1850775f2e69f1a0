import { expect, test } from "vitest";
import { Occupancy } from "../../src/delivery/occupancy.ts";

const LIMITS = { max: 6, destinationMax: 3, lineMax: 8, destinationLineMax: 4, lineMs: 100 };

/** A pool of 6, 3 of them for each destination, with these under way. */
function occupied(...destinations: string[]): Occupancy {
  const occupancy = new Occupancy(LIMITS, () => 0);
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
  let nowMs = 0;
  const occupancy = new Occupancy(LIMITS, () => nowMs);
  for (const id of ["a", "a", "a", "b"]) occupancy.enter(id);
  for (const id of ["a", "a", "a", "b"]) occupancy.leave(id);
  nowMs = 1_000;
  expect(occupancy.room).toBe(6);
  expect(occupancy.saturated()).toEqual([]);
  expect(occupancy.admits("a")).toBe(true);
});

test("as many may wait in line as ended lately, within bounds; a pause in which none ends shortens the line", () => {
  let nowMs = 1_000;
  const occupancy = new Occupancy(LIMITS, () => nowMs);
  const turn = (id: string, times: number) => {
    for (let n = 0; n < times; n++) {
      occupancy.enter(id);
      occupancy.leave(id);
    }
  };
  for (let n = 0; n < 3; n++) occupancy.enter("a");
  expect(occupancy.admits("a")).toBe(false);
  turn("a", 2);
  // Two more than its share, and six less those three, two for each that ended.
  expect([occupancy.admits("a"), occupancy.room]).toEqual([true, 5]);
  turn("a", 50);
  for (let n = 0; n < 4; n++) {
    expect(occupancy.admits("a")).toBe(true);
    occupancy.enter("a");
  }
  expect([occupancy.admits("a"), occupancy.saturated(), occupancy.room]).toEqual([false, ["a"], 7]);
  nowMs += 100;
  expect(occupancy.room).toBe(7);
  nowMs += 100;
  expect([occupancy.room, occupancy.admits("b")]).toEqual([0, false]);
  for (let n = 0; n < 4; n++) occupancy.leave("a");
  expect([occupancy.admits("a"), occupancy.admits("b")]).toEqual([true, true]);
});

test("while some wait in line, more are claimed only when there is room for several", () => {
  const occupancy = new Occupancy({ ...LIMITS, max: 100 }, () => 0);
  for (let n = 0; n < 3; n++) occupancy.enter("a");
  for (let n = 0; n < 40; n++) {
    occupancy.enter("a");
    occupancy.leave("a");
  }
  for (let n = 0; n < 4; n++) occupancy.enter("a");
  expect([occupancy.saturated(), occupancy.claimable]).toEqual([["a"], 7]);
  occupancy.leave("a");
  expect([occupancy.saturated(), occupancy.claimable]).toEqual([[], 1]);
  occupancy.leave("a");
  expect([occupancy.saturated(), occupancy.claimable]).toEqual([[], 2]);
});
