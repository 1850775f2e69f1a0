/** Opens and closes circuits as the outcomes of attempts ask. */
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import { type CircuitTimes, openCircuit, settleProbe } from "../store/sql/circuit.ts";
import { Breaker, type BreakerLimits, verdictOn } from "./breaker.ts";
import type { AttemptOutcome } from "./retry-policy.ts";

export interface CircuitsOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly circuits: BreakerLimits & CircuitTimes;
  /** Told after a change of which an operational event tells. */
  readonly onNotice: () => void;
}

export class Circuits {
  readonly #options: CircuitsOptions;
  readonly #breaker: Breaker;

  constructor(options: CircuitsOptions) {
    this.#options = options;
    this.#breaker = new Breaker(options.circuits);
  }

  /** Never rejects. A circuit that cannot be written stays as it is: the next outcome or probe will tell. */
  async note(
    { webhookId, probe }: { readonly webhookId: string; readonly probe: boolean },
    outcome: AttemptOutcome,
  ): Promise<void> {
    const { pool, circuits, logger, onNotice } = this.#options;
    try {
      const verdict = verdictOn(outcome);
      if (probe && verdict !== undefined) await settleProbe(pool, webhookId, verdict === "works", circuits);
      if (probe && verdict === "works") onNotice();
      if (probe || circuits.openMs === 0 || !this.#breaker.note(webhookId, outcome)) return;
      const isNew = await openCircuit(pool, webhookId, circuits.openMs);
      if (isNew) onNotice();
      if (isNew) logger.warn({ webhook: webhookId, error: outcome.errorCode }, "circuit opened: the destination fails");
    } catch (error) {
      logger.warn({ webhook: webhookId, err: error }, "a circuit could not be changed");
    }
  }
}
