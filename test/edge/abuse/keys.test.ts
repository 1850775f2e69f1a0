/** What callers can do whose API keys are nobody's, while a well-behaved client goes on being served. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import { type FloodedProtocol, type KeyFloodReport, madeUpKey } from "./key-attacks.ts";

const ATTACKS = new URL("./key-attacks.ts", import.meta.url);
const HEAP_MIB_MAX = 512;
/** Of calls of one client under way at once; so few that a flood comes upon it. */
const CALLS_MAX = 50;
const FLOOD = { connections: 60, streams: 200, forMs: 3_000 };

let abused: AbusedService;

beforeAll(async () => {
  abused = await startAbusedService({ callsPerCallerMax: CALLS_MAX });
});
afterAll(async () => await abused?.end());

async function flood(protocol: FloodedProtocol, from: string): Promise<KeyFloodReport> {
  const title = `made-up keys over ${protocol} from ${from}`;
  const args = { port: abused.service.port, protocol, from, ...FLOOD };
  const { report, memory } = await abused.harness.run<KeyFloodReport>(title, {
    module: ATTACKS,
    name: "floodKeys",
    args,
  });
  expect(memory.heapMiB).toBeLessThan(HEAP_MIB_MAX);
  // However slow the machine: each connection gets answers while the flood lasts.
  expect(report.answered).toBeGreaterThan(FLOOD.connections);
  return report;
}

/** The harness expects that the well-behaved client, at 127.0.0.1, was told nothing but success. */
test.each<[FloodedProtocol, string, string[]]>([
  // UNAUTHENTICATED and RESOURCE_EXHAUSTED.
  ["gRPC", "127.0.0.2", ["16", "8"]],
  ["gRPC", "127.0.0.1", ["16", "8"]],
  ["Connect", "127.0.0.2", ["401", "429"]],
  ["REST", "127.0.0.2", ["401", "429"]],
])("a flood of %s calls with made-up keys from %s", async (protocol, from, told) => {
  const { statuses } = await flood(protocol, from);
  expect(Object.keys(statuses).toSorted()).toEqual(told.toSorted());
});

test("after the floods as many calls may be under way as before", async () => {
  const call = async () =>
    (await fetch(`${abused.service.url}/api/v1/webhooks`, { headers: { authorization: madeUpKey() } })).status;
  const told = await Promise.all(Array.from({ length: CALLS_MAX }, call));
  expect(told).toEqual(told.map(() => 401));
});
