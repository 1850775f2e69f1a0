/** Measuring servers against each other: in turns, so that a busy machine is as busy for all of them. */
import { percentile, type Sample } from "./load.ts";
import { report } from "./report.ts";
import type { ServerProcess } from "./server-process.ts";

export interface Subject {
  readonly server: ServerProcess;
  readonly run: (durationMs: number) => Promise<Sample>;
}

const WARM_UP_MS = 2_000;
const ROUND_MS = 1_000;
const ROUNDS = 3;

interface Round {
  /** Answers a second. */
  readonly rate: number;
  /** Answers in a second of the server's processor time: what one core can do, however busy the machine is. */
  readonly ratePerCore: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Prints a table of medians; the ratios are those of the first subject to each other one. */
export async function measure(title: string, subjects: readonly (readonly [name: string, Subject])[]): Promise<void> {
  for (const [, subject] of subjects) await subject.run(WARM_UP_MS);
  const rounds = subjects.map((): Round[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [, subject]] of subjects.entries()) rounds[index]?.push(await runRound(subject));
  }
  const medians = rounds.map(medianRound);
  const first = medians[0];
  const rows = subjects.map(([name], index) => {
    const { rate, ratePerCore, p50Ms, p99Ms } = medians[index] as Round;
    const ratio = index === 0 || !first ? "" : first.ratePerCore / ratePerCore;
    return [name, rate, ratePerCore, p50Ms, p99Ms, ratio];
  });
  const head = ["", "answers/s", "per core-second", "p50 ms", "p99 ms", "first is"];
  report(title, head, rows);
}

async function runRound({ server, run }: Subject): Promise<Round> {
  const before = await server.cpuSeconds();
  const sample = await run(ROUND_MS);
  const used = (await server.cpuSeconds()) - before;
  return {
    rate: sample.answers / sample.seconds,
    ratePerCore: sample.answers / used,
    p50Ms: percentile(sample, 0.5),
    p99Ms: percentile(sample, 0.99),
  };
}

/** The round whose rate for a core is in the middle. */
function medianRound(rounds: readonly Round[]): Round {
  return rounds.toSorted((a, b) => a.ratePerCore - b.ratePerCore)[rounds.length >> 1] as Round;
}
