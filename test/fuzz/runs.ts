/**
 * How much is fuzzed: always the same in a test run, so that it fails for a reason; more, and other inputs, with
 * FUZZ_RUNS (cases of each property), FUZZ_SEED (any integer) and FUZZ_SECONDS (time of the port's fuzz).
 */
import type { Parameters } from "fast-check";

const setting = (name: string): number | undefined => {
  const text = process.env[name];
  return text === undefined || text === "" ? undefined : Number(text);
};

export const FUZZ_SEED = setting("FUZZ_SEED") ?? 20_261;

/** What fast-check runs: `numRuns` cases unless FUZZ_RUNS says otherwise. A failure prints the seed and the case. */
export function runs<Case>(numRuns: number): Parameters<Case> {
  return { seed: FUZZ_SEED, numRuns: setting("FUZZ_RUNS") ?? numRuns };
}

/** How long the port is fuzzed, milliseconds. */
export const fuzzMs = (usualMs: number): number => (setting("FUZZ_SECONDS") ?? usualMs / 1_000) * 1_000;
