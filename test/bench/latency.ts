/** How long an acknowledgement takes, and how much longer an event is on its way through the gateway than without it. */
import { SECRET } from "./gateway.ts";
import { percentile, type Sample } from "./load.ts";
import { loadAtRate } from "./load-receive.ts";
import { type Cell, report } from "./report.ts";
import { EVENT_BYTES, RATE_MS, type Rates, type Scene } from "./scene.ts";

const IDLE_RATE = 50;

export interface Latencies {
  /** Added on the way, idle, median; acknowledgement at half of the full rate, 99th percentile. Milliseconds. */
  readonly addedIdleMs: number;
  readonly ackHalfLoadMs: number;
}

const both = (sample: Sample) => [percentile(sample, 0.5), percentile(sample, 0.99)] as const;

export async function measureLatency(scene: Scene, rates: Rates): Promise<Latencies> {
  const { gateway, bare, silent, timed, arrivals } = scene;
  const load = { secret: SECRET, bytes: EVENT_BYTES, durationMs: RATE_MS };
  const acks: Cell[][] = [];
  const ways: Cell[][] = [];
  let [addedIdleMs, ackHalfLoadMs] = [Number.NaN, Number.NaN];
  for (const [name, rate] of [
    ["idle", IDLE_RATE],
    ["half load", Math.floor(rates.receive / 2)],
  ] as const) {
    const ours = both(await loadAtRate({ ...load, rate, port: gateway.port, path: silent.path }));
    const plain = both(await loadAtRate({ ...load, rate, port: bare.port, path: "/" }));
    acks.push([`${name}, ${rate}/s`, ...ours, ...plain]);
    if (name === "half load") ackHalfLoadMs = ours[1];
  }
  report("Time to the acknowledgement, ms", ["", "p50", "p99", "bare p50", "bare p99"], acks);
  for (const [name, rate] of [
    ["idle", IDLE_RATE],
    ["half load", Math.floor(rates.endToEnd / 2)],
  ] as const) {
    const ours = both(await arrivals.timed({ ...load, rate, port: gateway.port, path: timed.path }));
    await gateway.settled();
    const direct = both(await arrivals.timed({ ...load, rate, port: arrivals.port, path: "/" }));
    ways.push([`${name}, ${rate}/s`, ...ours, ...direct, ours[0] - direct[0], ours[1] - direct[1]]);
    if (name === "idle") addedIdleMs = ours[0] - direct[0];
  }
  const head = ["", "p50", "p99", "direct p50", "direct p99", "added p50", "added p99"];
  report("Time from sending to arrival at the destination, ms", head, ways);
  return { addedIdleMs, ackHalfLoadMs };
}
