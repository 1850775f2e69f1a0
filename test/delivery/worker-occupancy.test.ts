import { expect, test } from "vitest";
import { Occupancy } from "../../src/delivery/occupancy.ts";

const LIMITS = { max: 6, destinationMax: 3, lineMax: 8, destinationLineMax: 4, lineMs: 100 };

/** Each destination is of an organization of its own. */
const of = (id: string) => ({ webhookId: id, organizationId: `organization of ${id}` });

const at = (webhookId: string, organizationId: string) => ({ webhookId, organizationId });

/** A pool of 6, 3 of them for each destination, with these under way. */
function occupied(...destinations: string[]): Occupancy {
  const occupancy = new Occupancy(LIMITS, () => 0);
  for (const id of destinations) occupancy.enter(of(id));
  return occupancy;
}

test.each([
  { under: [], room: 6, claimable: 3, saturated: [], a: true },
  { under: ["a"], room: 5, claimable: 2, saturated: [], a: true },
  { under: ["a", "a", "a"], room: 3, claimable: 2, saturated: ["a"], a: false },
  { under: ["a", "a", "a", "b"], room: 2, claimable: 1, saturated: ["a"], a: false },
  { under: ["a", "a", "b", "b", "b"], room: 1, claimable: 1, saturated: ["b"], a: true },
  { under: ["a", "a", "a", "b", "b", "b"], room: 0, claimable: 0, saturated: ["a", "b"], a: false },
  { under: ["b", "c", "d", "e", "f", "g"], room: 0, claimable: 0, saturated: [], a: false },
])("$under", ({ under, room, claimable, saturated, a }) => {
  const occupancy = occupied(...under);
  expect(occupancy.room).toBe(room);
  expect(occupancy.claimable).toBe(claimable);
  expect(occupancy.saturated().destinations).toEqual(saturated);
  expect(occupancy.admits(of("a"))).toBe(a);
});

test("what leaves makes room, and leaves nothing behind", () => {
  let nowMs = 0;
  const occupancy = new Occupancy(LIMITS, () => nowMs);
  for (const id of ["a", "a", "a", "b"]) occupancy.enter(of(id));
  for (const id of ["a", "a", "a", "b"]) occupancy.leave(of(id), 1);
  nowMs = 1_000;
  expect(occupancy.room).toBe(6);
  expect(occupancy.saturated().destinations).toEqual([]);
  expect(occupancy.admits(of("a"))).toBe(true);
});

test("as many may wait in line as ended lately, within bounds; a pause in which none ends shortens the line", () => {
  let nowMs = 1_000;
  const occupancy = new Occupancy(LIMITS, () => nowMs);
  const turn = (id: string, times: number) => {
    for (let n = 0; n < times; n++) {
      occupancy.enter(of(id));
      occupancy.leave(of(id), 1);
    }
  };
  for (let n = 0; n < 3; n++) occupancy.enter(of("a"));
  expect(occupancy.admits(of("a"))).toBe(false);
  turn("a", 2);
  // Two more than its share, and six less those three, two for each that ended.
  expect([occupancy.admits(of("a")), occupancy.room]).toEqual([true, 5]);
  turn("a", 50);
  for (let n = 0; n < 4; n++) {
    expect(occupancy.admits(of("a"))).toBe(true);
    occupancy.enter(of("a"));
  }
  expect([occupancy.admits(of("a")), occupancy.saturated().destinations, occupancy.room]).toEqual([false, ["a"], 7]);
  nowMs += 100;
  expect(occupancy.room).toBe(7);
  nowMs += 100;
  expect([occupancy.room, occupancy.admits(of("b"))]).toEqual([0, false]);
  for (let n = 0; n < 4; n++) occupancy.leave(of("a"), 1);
  expect([occupancy.admits(of("a")), occupancy.admits(of("b"))]).toEqual([true, true]);
});

test("while some wait in line, more are claimed only when there is room for several", () => {
  const occupancy = new Occupancy({ ...LIMITS, max: 100 }, () => 0);
  for (let n = 0; n < 3; n++) occupancy.enter(of("a"));
  for (let n = 0; n < 40; n++) {
    occupancy.enter(of("a"));
    occupancy.leave(of("a"), 1);
  }
  for (let n = 0; n < 4; n++) occupancy.enter(of("a"));
  expect([occupancy.saturated().destinations, occupancy.claimable]).toEqual([["a"], 7]);
  occupancy.leave(of("a"), 1);
  expect([occupancy.saturated().destinations, occupancy.claimable]).toEqual([[], 1]);
  occupancy.leave(of("a"), 1);
  expect([occupancy.saturated().destinations, occupancy.claimable]).toEqual([[], 2]);
});

test("however many end at once after a long time, none may wait in line for it", () => {
  const occupancy = new Occupancy(LIMITS, () => 0);
  for (let n = 0; n < 3; n++) occupancy.enter(of("a"));
  for (let n = 0; n < 3; n++) occupancy.leave(of("a"), 15_000);
  expect(occupancy.room).toBe(6);
});

test("what is quick makes no room in line for what is not: slots stay free", () => {
  const occupancy = new Occupancy(
    { ...LIMITS, max: 16, destinationMax: 8, lineMax: 100, destinationLineMax: 100 },
    () => 0,
  );
  for (let n = 0; n < 51; n++) occupancy.enter(of("quick"));
  for (let n = 0; n < 50; n++) occupancy.leave(of("quick"), 1);
  for (let n = 0; occupancy.admits(at(`slow ${n}`, "slow")); n++) occupancy.enter(at(`slow ${n}`, "slow"));
  expect(occupancy.room).toBe(16 + 50 - 1 - 12);
  for (let n = 1; n < 12; n++) occupancy.enter(of("quick"));
  expect([occupancy.admits(of("quick")), occupancy.saturated().organizations]).toEqual([true, ["slow"]]);
  expect([occupancy.isFullFor(of("quick")), occupancy.isFullFor(at("slow 1", "slow"))]).toEqual([false, true]);
});

test("an organization alone leaves a quarter free, and one that comes finds room", () => {
  let nowMs = 0;
  const occupancy = new Occupancy({ ...LIMITS, max: 16, destinationMax: 1 }, () => nowMs);
  let taken = 0;
  while (occupancy.admits(at(`a${taken}`, "A"))) occupancy.enter(at(`a${taken++}`, "A"));
  expect([taken, occupancy.saturated().organizations]).toEqual([12, ["A"]]);
  while (occupancy.admits(at(`b${taken}`, "B"))) occupancy.enter(at(`b${taken++}`, "B"));
  expect([taken, occupancy.saturated().organizations]).toEqual([15, ["A", "B"]]);
  expect(occupancy.admits(at("c", "C"))).toBe(true);
  for (let n = 0; n < 12; n++) occupancy.leave(at(`a${n}`, "A"), 1);
  nowMs = 1_000;
  while (occupancy.admits(at(`b${taken}`, "B"))) occupancy.enter(at(`b${taken++}`, "B"));
  expect(taken).toBe(24);
});

test("stuck is what has its share and hardly turns over", () => {
  let nowMs = 0;
  const occupancy = new Occupancy({ ...LIMITS, max: 100 }, () => nowMs);
  for (let n = 0; n < 3; n++) for (const id of ["slow", "fast"]) occupancy.enter(of(id));
  expect(occupancy.stuck().destinations).toEqual([]);
  nowMs = 250;
  for (let n = 0; n < 4; n++) {
    occupancy.leave(of("fast"), 1);
    occupancy.enter(of("fast"));
  }
  for (let n = 0; n < 4; n++) occupancy.enter(of("fast"));
  expect(occupancy.saturated().destinations).toEqual(["slow", "fast"]);
  expect(occupancy.stuck().destinations).toEqual(["slow"]);
  occupancy.leave(of("slow"), 1);
  expect(occupancy.stuck().destinations).toEqual([]);
});
