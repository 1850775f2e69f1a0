/** What HTTP/1 clients can do to the port, while a well-behaved one goes on being served. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../../src/config.ts";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import { hubSignature, send } from "../../support/api.ts";
import { exchange } from "../wire.ts";
import type { Ended } from "./http1-attacks.ts";

const ATTACKS = new URL("./http1-attacks.ts", import.meta.url);
/** What the service may grow by, under any abuse here, MiB. */
const HEAP_MIB_MAX = 256;

let abused: AbusedService;

beforeAll(async () => {
  abused = await startAbusedService({
    sweepIntervalMs: 100,
    headersTimeoutMs: 500,
    prefaceTimeoutMs: 500,
    silentConnectionsMax: 600,
    connectionsMax: 700,
    answerStallMs: 500,
    answerBytesPerSecondMin: 64 * 1024 * 1024,
  });
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
  // An answer that crosses with a byte of the client's may be lost to the reset that follows.
  const { "HTTP/1.1 408 Request Timeout": answered = 0, "": lost = 0 } = report.answers;
  expect([report.ended, answered + lost]).toEqual([500, 500]);
  expect(answered).toBeGreaterThan(100);
});

test("connections that say nothing are ended, the oldest at once where there are too many", async () => {
  const report = await run<Ended>("1,500 silent connections", "saySilently", { connections: 1_500 });
  expect(report).toEqual({ opened: 1_500, ended: 1_500, answers: { "": 1_500 } });
});

test("idle connections make room for newcomers, the longest idle first", async () => {
  const report = await run<Ended>("2,000 idle connections, room for 700", "stayIdle", { connections: 2_000 });
  expect(report).toMatchObject({ opened: 2_000, answers: { "HTTP/1.1 200 OK": 2_000 } });
  expect(report.ended).toBeGreaterThanOrEqual(1_200);
});

test.each<[string, string, string]>([
  ["headers beyond the size", `X: ${"y".repeat(60_000)}\r\n`, "HTTP/1.1 431 Request Header Fields Too Large"],
  ["headers beyond the number", "X:y\r\n".repeat(2_000), "HTTP/1.1 431 Request Header Fields Too Large"],
])("%s", async (what, headers, answer) => {
  const bytes = `GET /healthz HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
  const report = await run<Ended>(what, "repeat", { times: 400, bytes });
  expect(report.answers).toEqual({ [answer]: report.opened });
});

test("a request line without end", async () => {
  const bytes = `GET /${"x".repeat(60_000)}`;
  const report = await run<Ended>("request lines beyond the size", "repeat", { times: 400, bytes });
  expect(report.answers).toEqual({ "HTTP/1.1 431 Request Header Fields Too Large": report.opened });
});

test("pipelines of thousands are cut off", async () => {
  const answered = await run<number[]>("pipelines of 20,000", "pipeline", { connections: 20, requests: 20_000 });
  expect(answered).toHaveLength(20);
  expect(Math.max(...answered)).toBeLessThan(20_000);
});

test("a pipeline within the bound is served whole and in order", async () => {
  const requests = Array.from({ length: LIMITS.pipelinedRequestsMax }, (_, n) => `GET /${n} HTTP/1.1\r\nHost: x\r\n`);
  const answer = await exchange(abused.service.port, `${requests.join("\r\n")}Connection: close\r\n\r\n`);
  const paths = [...answer.matchAll(/nothing is served at \/(\d+)"/g)].map((match) => Number(match[1]));
  expect(paths).toEqual(requests.map((_, n) => n));
});

test("whoever takes nothing of the answers that it asks for is ended, and their memory is released", async () => {
  const { service } = abused;
  const { receiveUrl, secret } = (await service.api.post("/webhooks", { name: "large" })).body;
  const body = Buffer.alloc(4 * 1024 * 1024, "x");
  const { eventId } = (await send(receiveUrl, body, hubSignature(secret, body))).body;
  const path = `/api/v1/webhooks/events/${eventId}/body`;
  const args = { connections: 30, path, key: service.key };
  expect(await run("answers of 4 MiB that nobody takes", "takeNothing", args)).toEqual({ opened: 30, ended: 30 });
});
