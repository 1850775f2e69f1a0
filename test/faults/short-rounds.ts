/** A round or two of some kinds of fault, as tests. `npm run test:faults` plays as many as one likes. */
import { afterAll, expect, inject, test } from "vitest";
import { type Kind, playRounds } from "./rounds.ts";
import { killLeftovers } from "./service-process.ts";

/** Seed of the first round. */
const SEED = 4;
/** Very generous: a round takes some seconds, on a busy machine many. */
const TIMEOUT_MS = 180_000;

export function testRounds(kinds: readonly Kind[]): void {
  afterAll(killLeftovers);
  for (const kind of kinds) {
    const play = kind.isPossible === false ? test.skip : test;
    play(
      `${kind.name} (seed ${SEED}): nothing is lost and history tells the truth`,
      { timeout: TIMEOUT_MS },
      async () => {
        const { failures, figures } = await playRounds(kind, { seed: SEED, rounds: 1, server: inject("postgres").url });
        expect(failures).toEqual([]);
        expect(figures.events).toBeGreaterThan(0);
      },
    );
  }
}
