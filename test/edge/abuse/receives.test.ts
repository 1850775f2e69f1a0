/** What anonymous senders, and one organization, can do with receives, while a well-behaved client goes on being served. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../../src/config.ts";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import { hubSignature, send } from "../../support/api.ts";
import { eventually } from "../../support/eventually.ts";
import type { Statuses } from "./body-attacks.ts";

const ATTACKS = new URL("./body-attacks.ts", import.meta.url);
const HEAP_MIB_MAX = 256;
const FOR_MS = 1_500;
const BODY = '{"type":"flood"}';
const INTERVAL_MS = 10;

let abused: AbusedService;

beforeAll(async () => {
  abused = await startAbusedService({
    webhookLookupIntervalMs: INTERVAL_MS,
    receivesPerClientMax: 64,
    receiveQueueRowsMax: 64,
    receiveBatchRowsMax: 8,
    receiveBatchesInFlightMax: 1,
  });
});
afterAll(async () => await abused?.end());

async function flood(title: string, args: object): Promise<Statuses> {
  const { service, harness } = abused;
  const all = { port: service.port, from: ["127.0.0.2"], connections: 48, forMs: FOR_MS, body: BODY, ...args };
  const { report, memory } = await harness.run<Statuses>(title, { module: ATTACKS, name: "flood", args: all });
  expect(memory.heapMiB).toBeLessThan(HEAP_MIB_MAX);
  return report;
}

/** Runs while the look-ups of webhooks are counted; resolves to how many there were, and in how long. */
async function countLookups<Result>(run: () => Promise<Result>) {
  const pool = abused.service.app.webhookLookups;
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<unknown>;
  let count = 0;
  Object.assign(pool, {
    query: (...args: unknown[]) => {
      count += 1;
      return query(...args);
    },
  });
  const startMs = performance.now();
  try {
    return { result: await run(), count, tookMs: performance.now() - startMs };
  } finally {
    Object.assign(pool, { query });
  }
}

test("unknown ids at full speed: 404 each, and a bounded number of queries a second", async () => {
  const path = "/api/v1/webhooks/receive/{id}";
  const lookups = await countLookups(() => flood("unknown ids, 48 connections", { path, headers: {} }));
  expect(Object.keys(lookups.result)).toEqual(["404"]);
  expect(lookups.count).toBeLessThanOrEqual(lookups.tookMs / (INTERVAL_MS - 1) + 1);
  expect(lookups.count).toBeLessThan((lookups.result[404] ?? 0) / 2);
});

test("forged signatures at full speed: 401 each, and a bounded number of queries a second", async () => {
  const { body: webhook } = await abused.service.api.post("/webhooks", { name: "forged" });
  const path = new URL(webhook.receiveUrl).pathname;
  const attack = { path, headers: hubSignature("forged", BODY) };
  const lookups = await countLookups(() => flood("forged signatures, 48 connections", attack));
  expect(Object.keys(lookups.result)).toEqual(["401"]);
  expect(lookups.count).toBeLessThanOrEqual(lookups.tookMs / (INTERVAL_MS - 1) + 1);
});

test("forged signatures at full speed: a few traces of them, all of them counted, and the rare one is still there", async () => {
  const { api, pool } = abused.service;
  const { body: webhook } = await api.post("/webhooks", { name: "traced" });
  expect((await send(webhook.receiveUrl, BODY, {})).status).toBe(401);
  const path = new URL(webhook.receiveUrl).pathname;
  const from = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 2}`);
  const headers = { ...hubSignature("forged", BODY), "x-padding": "p".repeat(4_000) };
  const statuses = await flood("forged signatures that leave traces", { path, from, headers });
  const forged = statuses[401] ?? 0;
  const { items } = await eventually("all are counted", async () => {
    const { body } = await api.get(`/webhooks/${webhook.id}/rejections?limit=100`);
    const requests = body.items.reduce((sum: number, { count }: { count: number }) => sum + 1 + count, 0);
    return requests === forged + 1 && body;
  });
  const checks = items.map(({ check }: { check: string }) => check);
  expect(checks.filter((check: string) => check === "missing_signature")).toHaveLength(1);
  expect(checks.filter((check: string) => check === "signature")).toHaveLength(LIMITS.traceSlots);
  // Eight rows at most are kept; those that they replaced, four a second, take room until the next vacuum.
  const { rows } = await pool.query("select pg_total_relation_size('receive_traces')::int as bytes");
  expect(rows[0].bytes).toBeLessThan(2 * 1024 * 1024);
});

test("forgeries at the URL that all of Linear's webhooks share: the search for whose they are takes a share of the time", async () => {
  const webhooks = Array.from({ length: 200 }, (_, n) => ({ name: `linear ${n}`, source: "linear" }));
  for (let at = 0; at < webhooks.length; at += 20) {
    await Promise.all(webhooks.slice(at, at + 20).map((webhook) => abused.service.api.post("/webhooks", webhook)));
  }
  const path = "/api/v1/webhooks/linear";
  const from = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 2}`);
  const headers = { "linear-signature": "0".repeat(64) };
  const body = JSON.stringify({ data: "x".repeat(1_000), webhookTimestamp: Date.now() });
  const lookups = await countLookups(() => flood("forgeries at Linear's shared URL", { path, from, headers, body }));
  expect(Object.keys(lookups.result).filter((status) => !["401", "429", "503"].includes(status))).toEqual([]);
  expect(lookups.result[401]).toBeGreaterThan(0);
  expect(lookups.count).toBeLessThanOrEqual(lookups.tookMs / (INTERVAL_MS - 1) + 2);
});

test("one organization floods the commit queue: it is told 429, and no other is told anything", async () => {
  const other = await abused.service.otherOrganization();
  const { body: webhook } = await other.post("/webhooks", { name: "flood" });
  const path = new URL(webhook.receiveUrl).pathname;
  const from = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
  const attack = { path, from, connections: 160, headers: hubSignature(webhook.secret, BODY) };
  const statuses = await flood("one organization's events, 160 connections", attack);
  expect(Object.keys(statuses).toSorted()).toEqual(["200", "429"]);
});

test("one address with too many receives at once is told 429, and no other address is told anything", async () => {
  const path = "/api/v1/webhooks/receive/{id}";
  const statuses = await flood("one address, 200 connections", { path, headers: {}, connections: 200 });
  expect(Object.keys(statuses).toSorted()).toEqual(["404", "429"]);
});
