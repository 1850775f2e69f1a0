/**
 * The whole service beside its baselines: receives verified and committed, with and without forwarding, what an event
 * costs, how long it takes, and all of it again under a history and a backlog.
 */
import { Gateway, makeDirectory, removeDirectory, SECRET, startTimeMs, type Webhook } from "./gateway.ts";
import { makeHistory } from "./history.ts";
import { percentile, type Sample } from "./load.ts";
import { loadAtRate, loadReceives } from "./load-receive.ts";
import { rawInserts } from "./raw-inserts.ts";
import { type Cell, report } from "./report.ts";
import { ServerProcess } from "./server-process.ts";

const EVENT_BYTES = 1_024;
const CONNECTIONS = [1, 8, 64, 512];
const ROUND_MS = 2_500;
const WARM_UP_MS = 1_500;
const RATE_MS = 4_000;
const HISTORY_EVENTS = 5_000_000;
const HISTORY_BACKLOG = 1_000_000;
const PLAIN = `${import.meta.dirname}/plain-server.ts`;

interface Scene {
  readonly gateway: Gateway;
  readonly bare: ServerProcess;
  /** Receives only, and forwards what it receives. */
  readonly silent: Webhook;
  readonly forwarding: Webhook;
}

export async function serviceBench(): Promise<void> {
  const directory = await makeDirectory();
  const others: ServerProcess[] = [];
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
      await measureAll({ gateway, bare, silent, forwarding }, { cold, warm });
    } finally {
      await gateway.stop();
    }
  } finally {
    await Promise.all(others.map((server) => server.stop()));
    await removeDirectory(directory);
  }
}

async function measureAll(scene: Scene, starts: { cold: number; warm: number }): Promise<void> {
  const { gateway } = scene;
  const idleMiB = await gateway.memoryMiB();
  await receive(scene, scene.silent, 64, EVENT_BYTES, WARM_UP_MS);
  await forward(scene, 64, WARM_UP_MS);
  const raw = await rawInserts(gateway, EVENT_BYTES, ROUND_MS);
  report(
    "Ceiling: PostgreSQL's own bulk insert of the same bytes, committed",
    ["rows a statement", "rows/s"],
    [[256, raw]],
  );
  const before = await throughput(scene, "Receives per second, 1 KB, verified and committed");
  await sizes(scene);
  await cost(scene);
  await latency(scene, before.at64);
  report(
    "The process",
    ["", "figure"],
    [
      ["start to ready, cold, ms", starts.cold],
      ["start to ready, warm, ms", starts.warm],
      ["memory idle, MiB", idleMiB],
      ["memory after load, MiB", await gateway.memoryMiB()],
    ],
  );
  const startMs = performance.now();
  await makeHistory(gateway, scene.silent, HISTORY_EVENTS, HISTORY_BACKLOG);
  process.stdout.write(
    `\n${HISTORY_EVENTS} events and ${HISTORY_BACKLOG} waiting deliveries made in ${((performance.now() - startMs) / 1_000).toFixed(0)} s\n`,
  );
  await forward(scene, 64, WARM_UP_MS);
  const after = await throughput(scene, "The same under that history and backlog");
  report(
    "What history and backlog cost",
    ["", "of the rate without"],
    [
      ["receive, 64 connections", after.at64 / before.at64],
      ["end to end", after.endToEnd / before.endToEnd],
    ],
  );
}

const rateOf = (sample: Sample) => sample.answers / sample.seconds;

const receive = ({ gateway }: Scene, webhook: Webhook, connections: number, bytes: number, durationMs = ROUND_MS) =>
  loadReceives({ port: gateway.port, path: webhook.path, secret: SECRET, connections, bytes, durationMs });

const bareReceive = ({ bare }: Scene, connections: number, bytes = EVENT_BYTES) =>
  loadReceives({ port: bare.port, path: "/", secret: SECRET, connections, bytes, durationMs: ROUND_MS });

/** Events a second from the first receive to the last delivery recorded. */
async function forward(scene: Scene, connections: number, durationMs = ROUND_MS) {
  const startMs = performance.now();
  const sample = await receive(scene, scene.forwarding, connections, EVENT_BYTES, durationMs);
  await scene.gateway.settled();
  return { sample, endToEnd: sample.answers / ((performance.now() - startMs) / 1_000) };
}

async function throughput(scene: Scene, title: string): Promise<{ at64: number; endToEnd: number }> {
  const rows: Cell[][] = [];
  const at64 = { at64: Number.NaN, endToEnd: Number.NaN };
  for (const connections of CONNECTIONS) {
    const bare = rateOf(await bareReceive(scene, connections));
    const sample = await receive(scene, scene.silent, connections, EVENT_BYTES);
    const { sample: forwarded, endToEnd } = await forward(scene, connections);
    const rate = rateOf(sample);
    if (connections === 64) Object.assign(at64, { at64: rate, endToEnd });
    const latencies = [percentile(sample, 0.5), percentile(sample, 0.99)];
    rows.push([connections, rate, bare, rate / bare, ...latencies, rateOf(forwarded), endToEnd]);
  }
  const head = ["connections", "receive", "bare node:http + HMAC", "ratio", "p50 ms", "p99 ms"];
  report(title, [...head, "receive while forwarding", "end to end"], rows);
  return at64;
}

async function sizes(scene: Scene): Promise<void> {
  const rows: Cell[][] = [];
  for (const kib of [10, 100]) {
    const bare = rateOf(await bareReceive(scene, 64, kib * 1_024));
    const rate = rateOf(await receive(scene, scene.silent, 64, kib * 1_024));
    rows.push([`${kib} KB`, rate, bare, rate / bare, (rate * kib) / 1_024]);
  }
  report("Larger bodies, 64 connections", ["body", "receive", "bare", "ratio", "MiB/s"], rows);
}

/** What one delivered event of 1 KB costs, at a rate that the service keeps up with. */
async function cost({ gateway, forwarding, silent }: Scene): Promise<void> {
  const rows: Cell[][] = [];
  for (const [name, webhook] of [
    ["received", silent],
    ["received and delivered", forwarding],
  ] as const) {
    const wal = () => gateway.query<string>("select pg_current_wal_insert_lsn()");
    const size = () =>
      gateway.query<string>(
        "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
      );
    const [lsn, bytes, cpu] = [await wal(), Number(await size()), await gateway.cpuSeconds()];
    const load = { port: gateway.port, path: webhook.path, secret: SECRET, bytes: EVENT_BYTES, durationMs: RATE_MS };
    const { answers } = await loadAtRate(load, 1_500);
    await gateway.settled();
    const used = await gateway.cpuSeconds();
    const written = Number(await gateway.query("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", [lsn]));
    const micros = (seconds: number) => (seconds * 1e6) / answers;
    rows.push([
      name,
      written / answers,
      (Number(await size()) - bytes) / answers,
      micros(used.service - cpu.service),
      micros(used.postgres - cpu.postgres),
    ]);
  }
  report(
    "Cost of an event of 1 KB, at 1,500/s",
    ["", "WAL bytes", "table bytes", "service CPU µs", "PostgreSQL CPU µs"],
    rows,
  );
}

/** Acknowledgements at a fixed rate, beside the bare server at the same rate. */
async function latency({ gateway, bare, silent, forwarding }: Scene, fullRate: number): Promise<void> {
  const load = { secret: SECRET, bytes: EVENT_BYTES, durationMs: RATE_MS };
  const half = Math.floor(fullRate / 2);
  const rows: Cell[][] = [];
  for (const [name, rate, webhook] of [
    ["idle (50/s), forwarding", 50, forwarding],
    [`half load (${half}/s)`, half, silent],
    [`half of that, forwarding`, Math.floor(half / 2), forwarding],
  ] as const) {
    const ours = await loadAtRate({ ...load, port: gateway.port, path: webhook.path }, rate);
    await gateway.settled();
    const plain = await loadAtRate({ ...load, port: bare.port, path: "/" }, rate);
    rows.push([name, percentile(ours, 0.5), percentile(ours, 0.99), percentile(plain, 0.5), percentile(plain, 0.99)]);
  }
  report("Time to the acknowledgement, ms", ["", "p50", "p99", "bare p50", "bare p99"], rows);
}
