/** The same again under a history and a backlog, and while a part of the history goes. */
import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS } from "../../src/config.ts";
import { retire } from "../../src/store/retention.ts";
import { SECRET } from "./gateway.ts";
import { makeBacklog, makeEvents } from "./history.ts";
import { percentile, type Sample } from "./load.ts";
import { loadAtRate } from "./load-receive.ts";
import { report } from "./report.ts";
import { EVENT_BYTES, RATE_MS, type Rates, type Scene } from "./scene.ts";
import { measureThroughput } from "./throughput.ts";

const HISTORY_EVENTS = 5_000_000;
const BACKLOG = 1_000_000;
const OLD_EVENTS = 1_000_000;
const RETENTION_DAYS = 30;
const DAY_MS = 86_400_000;
const today = () => Math.floor(Date.now() / DAY_MS) * DAY_MS;

/** Rates under history and backlog, of those without. */
export async function measureHistory(scene: Scene, before: Rates): Promise<{ receive: number; endToEnd: number }> {
  const { gateway, silent } = scene;
  const startMs = performance.now();
  await makeEvents(gateway, silent, today() - DAY_MS, HISTORY_EVENTS);
  await makeBacklog(gateway, silent, today() - DAY_MS, BACKLOG);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  const title = `Under ${HISTORY_EVENTS / 1e6} million events and ${BACKLOG / 1e6} million waiting deliveries (made in ${seconds} s)`;
  const after = await measureThroughput(scene, title, [64]);
  const cost = {
    // The machine may be busier or calmer than before: the bare handler tells.
    receive: after.receive / after.bare / (before.receive / before.bare),
    endToEnd: after.endToEnd / after.bare / (before.endToEnd / before.bare),
  };
  report(
    "Rates under history and backlog, of those without (each in terms of the bare handler)",
    ["", "share"],
    [
      ["receive, 64 connections", cost.receive],
      ["end to end", cost.endToEnd],
    ],
  );
  return cost;
}

/** How much longer the slowest receives take while a million events are dropped, as a ratio of 99th percentiles. */
export async function measureRetention({ gateway, silent }: Scene, rates: Rates): Promise<number> {
  await makeEvents(gateway, silent, today() - (RETENTION_DAYS + 10) * DAY_MS, OLD_EVENTS);
  const rate = Math.floor(rates.receive / 4);
  const load = { port: gateway.port, path: silent.path, secret: SECRET, bytes: EVENT_BYTES, durationMs: RATE_MS, rate };
  const signal = new AbortController().signal;
  const options = { retentionDays: RETENTION_DAYS, rows: LIMITS.retentionBatchRows, nowMs: Date.now(), signal };
  const before = await loadAtRate(load);
  const [meanwhile, { dropped }] = await Promise.all([
    loadAtRate(load),
    sleep(RATE_MS / 3).then(() => gateway.withClient((client) => retire(client, options))),
  ]);
  if (dropped.length === 0) throw new Error("nothing was dropped");
  const after = await loadAtRate(load);
  const figures = (sample: Sample) => [percentile(sample, 0.5), percentile(sample, 0.99), percentile(sample, 1)];
  report(
    `Time to the acknowledgement at ${rate}/s while a partition of ${OLD_EVENTS / 1e6} million events is dropped, ms`,
    ["", "p50", "p99", "longest"],
    [
      ["before", ...figures(before)],
      ["meanwhile", ...figures(meanwhile)],
      ["after", ...figures(after)],
    ],
  );
  return percentile(meanwhile, 0.99) / ((percentile(before, 0.99) + percentile(after, 0.99)) / 2);
}
