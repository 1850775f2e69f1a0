/**
 * A bulk replay of a million deliveries: whether it is counted exactly, keeps its rate, leaves the others alone, and goes
 * on after kill -9 without leaving anything out or repeating anything.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Arrivals } from "./arrivals.ts";
import { Gateway, makeDirectory, removeDirectory, SECRET, type Webhook } from "./gateway.ts";
import { makeDelivered, makeEvents } from "./history.ts";
import { percentile, type Sample } from "./load.ts";
import { report } from "./report.ts";
import { EVENT_BYTES } from "./scene.ts";
import { ServerProcess } from "./server-process.ts";
import { reportTargets } from "./targets.ts";

const PLAIN = `${import.meta.dirname}/plain-server.ts`;
const DAY_MS = 86_400_000;
const MATCHED = 1_000_000;
/** Ordinary events a second, deliveries of the job beside them, and the job's rate once nobody is measured. */
const RATE = 200;
const JOB_RATE = 200;
const FULL_RATE = 10_000;
const ROUNDS = 3;
const ROUND_MS = 4_000;
const KILLS = 3;
const LOOK_MS = 50;

export async function bulkBench(): Promise<void> {
  const directory = await makeDirectory();
  const arrivals = await Arrivals.start();
  const destination = await ServerProcess.start(PLAIN, { kind: "destination" }, { pin: false });
  const gateway = await Gateway.start(directory);
  try {
    const timed = await gateway.createWebhook(`http://127.0.0.1:${arrivals.port}/hook`);
    const replayed = await gateway.createWebhook(`http://127.0.0.1:${destination.port}/hook`);
    const yesterday = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS;
    await makeEvents(gateway, replayed, yesterday, MATCHED);
    await makeDelivered(gateway, replayed, yesterday, MATCHED);
    await gateway.query("checkpoint");
    const job = await startJob(gateway, replayed);
    const pace = await measurePace(gateway, arrivals, timed, job.id);
    const end = await finish(gateway, replayed, job.id);
    reportTargets([
      ["dry run, deliveries", job.counted, "≥", MATCHED],
      ["deliveries at the job's rate, of those due", pace.kept, "≥", 0.95],
      ["the same", pace.kept, "≤", 1.1],
      ["ordinary deliveries beside the job, p99 of that without", pace.ratio, "≤", 1.3],
      ["replays made", end.made, "≥", MATCHED],
      ["events replayed more or less than once", MATCHED - end.once, "≤", 0],
    ]);
  } finally {
    await gateway.stop();
    arrivals.close();
    await destination.stop();
    await removeDirectory(directory);
  }
}

async function startJob(gateway: Gateway, { id: webhookId }: Webhook): Promise<{ id: string; counted: number }> {
  const job = { action: "replay", filter: { webhookId, status: ["succeeded"] }, ratePerSecond: JOB_RATE };
  const times: number[] = [];
  const timed = async (body: object) => {
    const startMs = performance.now();
    const answer = await gateway.api.post("/webhooks/bulk-jobs", body);
    times.push(performance.now() - startMs);
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  };
  const dry = await timed({ ...job, dryRun: true });
  const made = await timed(job);
  const [countMs = 0, makeMs = 0] = times;
  report(
    `A job of ${MATCHED / 1e6} million deliveries, ms`,
    ["", "figure"],
    [
      ["dry run", countMs],
      ["making it", makeMs],
    ],
  );
  return { id: made.id, counted: dry.matched };
}

/** Ordinary events in rounds, by turns with the job paused and running. */
async function measurePace(gateway: Gateway, arrivals: Arrivals, timed: Webhook, jobId: string) {
  const control = async (verb: "pause" | "resume") =>
    (await gateway.api.post(`/webhooks/bulk-jobs/${jobId}/${verb}`)).body.done as number;
  const load = { rate: RATE, secret: SECRET, bytes: EVENT_BYTES, path: timed.path };
  const round = (durationMs = ROUND_MS) => arrivals.timed({ ...load, durationMs, port: gateway.port });
  await round(2_000);
  const [alone, beside]: [Sample[], Sample[]] = [[], []];
  let [done, seconds] = [0, 0];
  for (let n = 0; n < ROUNDS; n++) {
    await control("pause");
    await gateway.settled();
    alone.push(await round());
    const [before, startMs] = [await control("resume"), performance.now()];
    beside.push(await round());
    done += (await control("pause")) - before;
    seconds += (performance.now() - startMs) / 1_000;
  }
  const figures = (samples: readonly Sample[]) => [0.5, 0.99, 1].map((share) => percentile(joined(samples), share));
  report(
    `${RATE} ordinary events a second on their way, beside a job at ${JOB_RATE} a second, ms`,
    ["", "p50", "p99", "longest"],
    [
      ["job paused", ...figures(alone)],
      ["job running", ...figures(beside)],
    ],
  );
  const ratio = percentile(joined(beside), 0.99) / percentile(joined(alone), 0.99);
  return { kept: done / (seconds * JOB_RATE), ratio };
}

function joined(samples: readonly Sample[]): Sample {
  const latenciesMs = Float64Array.from(samples.flatMap((sample) => [...sample.latenciesMs])).sort();
  return { answers: latenciesMs.length, seconds: 0, latenciesMs };
}

/** The rest as fast as may be, to a webhook that takes none now, killed over and over. */
async function finish(gateway: Gateway, { id }: Webhook, jobId: string): Promise<{ made: number; once: number }> {
  await gateway.api.patch(`/webhooks/${id}`, { status: "paused" });
  const startMs = performance.now();
  const read = async () => (await gateway.api.get(`/webhooks/bulk-jobs/${jobId}`)).body;
  const { done: before } = (await gateway.api.post(`/webhooks/bulk-jobs/${jobId}/resume`, { ratePerSecond: FULL_RATE }))
    .body;
  for (let kill = 1; kill <= KILLS; kill++) {
    while ((await read()).done < before + (kill * (MATCHED - before)) / (KILLS + 1)) await sleep(LOOK_MS);
    await gateway.killAndRestart();
  }
  let job = await read();
  for (; job.state !== "done"; job = await read()) await sleep(LOOK_MS);
  const seconds = (performance.now() - startMs) / 1_000;
  report(
    `The rest of the job, to a paused webhook, with ${KILLS} kill -9`,
    ["", "figure"],
    [
      ["replays made a second", (job.done - before) / seconds],
      ["skipped", job.skipped],
    ],
  );
  const once = await gateway.query<string>(
    `select count(*) from (select event_id from deliveries where webhook_id = $1 and replay
       group by event_id having count(*) = 1) o`,
    [id],
  );
  return { made: job.done, once: Number(once) };
}
