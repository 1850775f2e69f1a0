/** What anonymous senders can do with bodies that do not end, while a well-behaved client goes on being served. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import { hubSignature } from "../../support/api.ts";
import type { Piece, Statuses } from "./body-attacks.ts";

const ATTACKS = new URL("./body-attacks.ts", import.meta.url);
const MIB = 1024 * 1024;
/** The well-behaved client is at 127.0.0.1. */
const ONE_ADDRESS = ["127.0.0.2"];
const BUDGET_MIB = 64;
/** What the process may grow by besides the bodies: buffers of sockets and of the tests' own server, MiB. */
const OTHER_MIB_MAX = 384;
const ONE_BYTE: Piece = { of: "eA==", bytes: 1 };
/** The head of a message of gRPC that is 65,536 bytes long. */
const ENVELOPE_HEAD: Piece = { of: "AAABAAA=", bytes: 5 };
/** Nobody's: it is refused only once the body is complete. */
const FORGED = hubSignature("forged", "");

let abused: AbusedService;
let path: string;

beforeAll(async () => {
  abused = await startAbusedService({
    bodyGraceMs: 300,
    bodyTimeoutMs: 2_000,
    sweepIntervalMs: 100,
    bodyBytesInMemoryMax: BUDGET_MIB * MIB,
  });
  const { body } = await abused.service.api.post("/webhooks", { name: "abused" });
  path = new URL(body.receiveUrl).pathname;
});
afterAll(async () => await abused?.end());

async function run(title: string, name: string, args: object): Promise<Statuses> {
  const { service, harness } = abused;
  const all = { port: service.port, from: ONE_ADDRESS, path, headers: FORGED, ...args };
  const { report, memory } = await harness.run<Statuses>(title, { module: ATTACKS, name, args: all });
  expect(memory.heapMiB).toBeLessThan(BUDGET_MIB + OTHER_MIB_MAX);
  expect(service.app.bodyBytes()).toBe(0);
  return report;
}

describe("slow bodies end with 408", () => {
  test("HTTP/1", async () => {
    expect(await run("slow bodies, 500 connections", "dribbleBodies", { connections: 500, first: ONE_BYTE })).toEqual({
      408: 500,
    });
  });

  test("HTTP/2", async () => {
    const args = { connections: 4, streams: 100, first: ONE_BYTE };
    expect(await run("slow bodies, 400 streams", "dribbleStreams", args)).toEqual({ 408: 400 });
  });

  test("REST, and only for those who have a key", async () => {
    const rest = { path: "/api/v1/webhooks", connections: 100, first: ONE_BYTE };
    const authorization = `Bearer ${abused.service.key}`;
    expect(await run("slow REST bodies", "dribbleBodies", { ...rest, headers: { authorization } })).toEqual({
      408: 100,
    });
    expect(await run("slow REST bodies without a key", "dribbleBodies", rest)).toEqual({ 401: 100 });
  });

  test.each([
    ["Connect", { "content-type": "application/json" }, "dribbleBodies", 504],
    // DEADLINE_EXCEEDED is 4.
    ["gRPC", { "content-type": "application/grpc", te: "trailers" }, "dribbleStreams", 4],
    // Its status stands in the body.
    ["gRPC-Web", { "content-type": "application/grpc-web+proto" }, "dribbleStreams", 200],
  ])("%s", async (name, headers, attack, status) => {
    const rpc = { path: "/alumia.webhooks.v1.ReceiveService/Receive", headers };
    const first = name === "Connect" ? ONE_BYTE : ENVELOPE_HEAD;
    const args = { ...rpc, connections: attack === "dribbleBodies" ? 100 : 1, streams: 100, first };
    expect(await run(`slow ${name} bodies`, attack, args)).toEqual({ [status]: 100 });
  });
});

test("a thousand half-sent bodies: what is over a client's share is 429 at once, the rest 408 in time", async () => {
  const args = { connections: 1_000, first: { of: "eA==", bytes: 60_000 }, from: ONE_ADDRESS };
  const statuses = await run("1,000 half-sent bodies, one address", "dribbleBodies", args);
  expect(Object.keys(statuses).toSorted()).toEqual(["408", "429"]);
  expect((statuses[408] ?? 0) + (statuses[429] ?? 0)).toBe(1_000);
});
