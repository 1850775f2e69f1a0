/** Events a second: received, forwarded, larger ones; each beside a bare handler that reads and compares the HMAC. */

import { percentile } from "./load.ts";
import { rawInserts } from "./raw-inserts.ts";
import { type Cell, report } from "./report.ts";
import { bareReceive, EVENT_BYTES, forward, type Rates, ROUND_MS, rateOf, receive, type Scene } from "./scene.ts";

export async function measureCeiling({ gateway }: Scene): Promise<void> {
  const raw = await rawInserts(gateway, EVENT_BYTES, ROUND_MS);
  report("PostgreSQL's own bulk insert of the same bytes, committed", ["rows a statement", "rows/s"], [[256, raw]]);
}

export async function measureThroughput(scene: Scene, title: string, connections: readonly number[]): Promise<Rates> {
  const { gateway, bare: bareServer, silent, forwarding } = scene;
  const rows: Cell[][] = [];
  let rates = { bare: Number.NaN, receive: Number.NaN, endToEnd: Number.NaN };
  for (const count of connections) {
    const bare = rateOf(await bareReceive(bareServer, count));
    const sample = await receive(gateway, silent, count);
    const { sample: forwarded, endToEnd } = await forward(gateway, forwarding, count, 2 * ROUND_MS);
    const rate = rateOf(sample);
    if (count === 64) rates = { bare, receive: rate, endToEnd };
    const latencies = [percentile(sample, 0.5), percentile(sample, 0.99)];
    rows.push([count, rate, bare, rate / bare, ...latencies, rateOf(forwarded), endToEnd]);
  }
  const head = ["connections", "receive", "bare node:http + HMAC", "ratio", "p50 ms", "p99 ms"];
  report(title, [...head, "receive while forwarding", "end to end"], rows);
  return rates;
}

export async function measureSizes({ gateway, bare: bareServer, silent }: Scene): Promise<void> {
  const rows: Cell[][] = [];
  for (const kib of [10, 100]) {
    const bare = rateOf(await bareReceive(bareServer, 64, kib * 1_024));
    const rate = rateOf(await receive(gateway, silent, 64, kib * 1_024));
    rows.push([`${kib} KB`, rate, bare, rate / bare, (rate * kib) / 1_024]);
  }
  report("Larger bodies, 64 connections", ["body", "receive", "bare", "ratio", "MiB/s"], rows);
}
