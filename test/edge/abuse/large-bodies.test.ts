/** What senders can do with bodies that are too large, as they come or expanded, while a well-behaved client goes on being served. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import { hubSignature } from "../../support/api.ts";
import type { Statuses } from "./body-attacks.ts";

const ATTACKS = new URL("./body-attacks.ts", import.meta.url);
const MIB = 1024 * 1024;
/** The well-behaved client is at 127.0.0.1. */
const ONE_ADDRESS = ["127.0.0.2"];
const MANY_ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const BUDGET_MIB = 64;
/** What the process may grow by besides the bodies: buffers of sockets and of the tests' own server, MiB. */
const OTHER_MIB_MAX = 384;
/** Nobody's: it is refused only once the body is complete. */
const FORGED = hubSignature("forged", "");

let abused: AbusedService;
let path: string;

beforeAll(async () => {
  abused = await startAbusedService({
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

test("bodies over the cap are 413, declared or not", async () => {
  const args = { connections: 60, bytes: 8 * MIB, from: MANY_ADDRESSES };
  const statuses = await run("oversize bodies, 60 connections", "sendOversize", args);
  // A client that is still writing when the connection ends may see a reset in place of its answer.
  expect(Object.keys(statuses).filter((status) => !["413", "429", "none"].includes(status))).toEqual([]);
  expect(statuses[413]).toBeGreaterThan(0);
});

describe("decompression bombs", () => {
  test("REST: 413", async () => {
    const authorization = `Bearer ${abused.service.key}`;
    const headers = { authorization, "content-type": "application/json", "content-encoding": "gzip" };
    const args = { path: "/api/v1/webhooks", headers, connections: 16, rounds: 2 };
    const statuses = await run("gzip bombs, REST", "sendBombs", args);
    expect(Object.keys(statuses).filter((status) => !["413", "429"].includes(status))).toEqual([]);
  });

  test("Connect: RESOURCE_EXHAUSTED", async () => {
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    const args = { path: "/alumia.webhooks.v1.ReceiveService/Receive", headers, connections: 16, rounds: 2 };
    expect(await run("gzip bombs, Connect", "sendBombs", args)).toEqual({ 429: 32 });
  });

  test("gRPC: RESOURCE_EXHAUSTED", async () => {
    const headers = { "content-type": "application/grpc", "grpc-encoding": "gzip", te: "trailers" };
    const args = { path: "/alumia.webhooks.v1.ReceiveService/Receive", headers, streams: 16, rounds: 2 };
    // RESOURCE_EXHAUSTED is 8.
    expect(await run("gzip bombs, gRPC", "sendGrpcBombs", args)).toEqual({ 8: 32 });
  });

  test("a raw receive is stored as it came, whatever it would expand to", async () => {
    const { service } = abused;
    const { body: webhook } = await service.api.post("/webhooks", { name: "raw" });
    const bytes = Buffer.from("1f8b080000000000", "hex");
    const headers = { ...hubSignature(webhook.secret, bytes), "content-encoding": "gzip" };
    const response = await fetch(webhook.receiveUrl, { method: "POST", body: bytes, headers });
    const { eventId } = (await response.json()) as { eventId: string };
    const { body: event } = await service.api.get(`/webhooks/events/${eventId}`);
    expect(Buffer.from(event.body, "base64")).toEqual(bytes);
  });
});
