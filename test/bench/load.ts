/** What every load generator tells: closed loops of a fixed number of calls under way, each answer checked. */

export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly durationMs: number;
  /** Never to wait in the kernel: for a caller that has a core to itself. */
  readonly awake?: boolean;
}

export interface Sample {
  readonly answers: number;
  readonly seconds: number;
  readonly latenciesMs: Float64Array;
}

/** Runs one loop on each connection until the time is over, and adds up what they answered. */
export async function runLoops(load: Load, loop: (untilMs: number) => Promise<number[]>): Promise<Sample> {
  const startMs = performance.now();
  const untilMs = startMs + load.durationMs;
  const rest = load.awake ? keepAwake() : () => {};
  const latencies = await Promise.all(Array.from({ length: load.connections }, () => loop(untilMs))).finally(rest);
  const latenciesMs = Float64Array.from(latencies.flat()).sort();
  return { answers: latenciesMs.length, seconds: (performance.now() - startMs) / 1_000, latenciesMs };
}

/** To wake a process is dear, and its server would pay for it. */
function keepAwake(): () => void {
  let immediate: NodeJS.Immediate;
  const spin = () => {
    immediate = setImmediate(spin);
  };
  spin();
  return () => clearImmediate(immediate);
}

/** The latency that `share` of the answers did not exceed, milliseconds. */
export function percentile({ latenciesMs }: Sample, share: number): number {
  return latenciesMs[Math.min(Math.floor(latenciesMs.length * share), latenciesMs.length - 1)] ?? Number.NaN;
}
