/** What HTTP/1 clients can do to the port, while a well-behaved one goes on being served. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import type { Ended } from "./http1-attacks.ts";

const ATTACKS = new URL("./http1-attacks.ts", import.meta.url);
/** What the service may grow by, under any abuse here, MiB. */
const HEAP_MIB_MAX = 256;

let abused: AbusedService;

beforeAll(async () => {
  abused = await startAbusedService({ headersTimeoutMs: 500, sweepIntervalMs: 100 });
});
afterAll(async () => await abused?.end());

async function run<Report>(title: string, name: string, args: object): Promise<Report> {
  const { port } = abused.service;
  const { report, memory } = await abused.harness.run<Report>(title, {
    module: ATTACKS,
    name,
    args: { port, ...args },
  });
  expect(memory.heapMiB).toBeLessThan(HEAP_MIB_MAX);
  return report;
}

test("headers that never end are answered 408 when their time is over", async () => {
  const report = await run<Ended>("slow headers, 500 connections", "dribbleHeaders", { connections: 500 });
  expect(report).toEqual({ opened: 500, ended: 500, answers: { "HTTP/1.1 408 Request Timeout": 500 } });
});
