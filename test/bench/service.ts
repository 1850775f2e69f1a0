/**
 * The whole service beside its baselines: receives verified and committed, with and without forwarding, what an event
 * costs, how long it takes, two processes, and all of it again under a history and a backlog.
 */
import { Arrivals } from "./arrivals.ts";
import { measureCost } from "./cost.ts";
import { Gateway, makeDirectory, removeDirectory, SECRET, startTimeMs } from "./gateway.ts";
import { inTime } from "./in-time.ts";
import { measureLatency } from "./latency.ts";
import { measureReplicas } from "./replicas.ts";
import { report } from "./report.ts";
import { EVENT_BYTES, forward, ROUND_MS, receive, type Scene } from "./scene.ts";
import { ServerProcess } from "./server-process.ts";
import { reportTargets, type Target } from "./targets.ts";
import { measureCeiling, measureSizes, measureThroughput } from "./throughput.ts";
import { measureHistory, measureRetention } from "./under-history.ts";

const PLAIN = `${import.meta.dirname}/plain-server.ts`;

export async function serviceBench(): Promise<void> {
  const directory = await makeDirectory();
  const others: ServerProcess[] = [];
  const arrivals = await Arrivals.start();
  try {
    const cold = await startTimeMs(directory);
    const warm = await startTimeMs(directory);
    const bare = await ServerProcess.start(PLAIN, { kind: "bareReceiver", secret: SECRET }, { pin: false });
    const destination = await ServerProcess.start(PLAIN, { kind: "destination" }, { pin: false });
    others.push(bare, destination);
    const gateway = await Gateway.start(directory);
    try {
      const silent = await gateway.createWebhook(undefined);
      const forwarding = await gateway.createWebhook(`http://127.0.0.1:${destination.port}/hook`);
      const timed = await gateway.createWebhook(`http://127.0.0.1:${arrivals.port}/hook`);
      await measureAll({ gateway, bare, arrivals, silent, forwarding, timed }, { cold, warm });
    } finally {
      await gateway.stop();
    }
  } finally {
    arrivals.close();
    await Promise.all(others.map((server) => server.stop()));
    await removeDirectory(directory);
  }
}

async function measureAll(scene: Scene, starts: { cold: number; warm: number }): Promise<void> {
  const { gateway, silent, forwarding } = scene;
  const idleMiB = await gateway.memoryMiB();
  await receive(gateway, silent, 64, EVENT_BYTES, ROUND_MS);
  await forward(gateway, forwarding, 64);
  await measureCeiling(scene);
  const title = "Events of 1 KB a second, verified and committed";
  const rates = await measureThroughput(scene, title, [1, 8, 64, 512]);
  const loadedMiB = await gateway.memoryMiB();
  await inTime("larger bodies", 8, () => measureSizes(scene));
  const walBytes = await inTime("cost of an event", 15, () => measureCost(scene));
  const latencies = await inTime("latency", 25, () => measureLatency(scene, rates));
  report(
    "The process",
    ["", "figure"],
    [
      ["start to ready, cold, ms", starts.cold],
      ["start to ready, warm, ms", starts.warm],
      ["memory idle, MiB", idleMiB],
      ["memory under load, MiB", loadedMiB],
    ],
  );
  await inTime("two processes", 18, () => measureReplicas(scene));
  const dropRatio = await inTime("retention", 16, () => measureRetention(scene, rates));
  const history = await inTime("history and backlog", 45, () => measureHistory(scene, rates));
  const targets: Target[] = [
    ["receive at 64 connections, of the bare handler", rates.receive / rates.bare, "≥", 0.35],
    ["end to end a second", rates.endToEnd, "≥", 3_000],
    ["added on the way when idle, p50, ms", latencies?.addedIdleMs, "≤", 5],
    ["acknowledgement at half load, p99, ms", latencies?.ackHalfLoadMs, "≤", 10],
    ["receive under history and backlog, of that without", history?.receive, "≥", 0.8],
    ["end to end under history and backlog, of that without", history?.endToEnd, "≥", 0.8],
    ["memory idle, MiB", idleMiB, "≤", 180],
    ["start to ready, warm, ms", starts.warm, "≤", 1_500],
    ["WAL bytes for a delivered event, without whole pages", walBytes, "≤", 2.2 * 1_024],
    ["acknowledgement p99 while a partition is dropped, of that before and after", dropRatio, "≤", 1.5],
  ];
  reportTargets(targets);
}
