/**
 * Whether a destination fails so often that it should be left alone: of enough attempts in the last stretch of time,
 * enough failed by its own fault. What then holds for all replicas stands in its lane (`store/sql/circuit.ts`).
 */
import type { AttemptOutcome } from "./retry-policy.ts";

export interface BreakerLimits {
  /** Attempts are counted in stretches of this length, the present one and the one before, milliseconds. */
  readonly windowMs: number;
  /** Least number of attempts, and share of those that failed, that open a circuit. */
  readonly attemptsMin: number;
  readonly failureShare: number;
  /** Destinations that are counted; the one heard of longest ago is forgotten first. */
  readonly destinationsMax: number;
}

/** Failures in which the destination had no part. */
const NOT_ITS_OWN = new Set(["aborted", "internal", "expired", "too_many_hops", "oauth2", "proxy", "blocked_address"]);

/**
 * What an outcome says of the destination: it works if it answered, even if that was no to this delivery; it fails if
 * there was no answer or one of 429 and 5xx. Undefined: nothing.
 */
export function verdictOn({ errorCode, statusCode }: AttemptOutcome): "works" | "fails" | undefined {
  if (errorCode === null) return "works";
  if (NOT_ITS_OWN.has(errorCode)) return undefined;
  return errorCode === "http_status" && statusCode !== null && statusCode < 500 && statusCode !== 429
    ? "works"
    : "fails";
}

export class Breaker {
  readonly #limits: BreakerLimits;
  readonly #now: () => number;
  readonly #counts = new Map<string, Counts>();

  constructor(limits: BreakerLimits, now = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Counts an attempt; whether it opens the destination's circuit. Counting then begins anew. */
  note(destinationId: string, outcome: AttemptOutcome): boolean {
    const { windowMs, attemptsMin, failureShare, destinationsMax } = this.#limits;
    const verdict = verdictOn(outcome);
    if (verdict === undefined) return false;
    const failed = verdict === "fails";
    const before = this.#counts.get(destinationId);
    // Most destinations never fail, and take no memory.
    if (!before && !failed) return false;
    const counts = turned(before, Math.floor(this.#now() / windowMs));
    counts.attempts += 1;
    counts.failures += failed ? 1 : 0;
    const attempts = counts.attempts + counts.attemptsBefore;
    const failures = counts.failures + counts.failuresBefore;
    this.#counts.delete(destinationId);
    if (attempts >= attemptsMin && failed && failures >= attempts * failureShare) return true;
    if (failures === 0) return false;
    if (this.#counts.size >= destinationsMax) {
      const oldest = this.#counts.keys().next().value;
      if (oldest !== undefined) this.#counts.delete(oldest);
    }
    this.#counts.set(destinationId, counts);
    return false;
  }
}

interface Counts {
  span: number;
  attempts: number;
  failures: number;
  attemptsBefore: number;
  failuresBefore: number;
}

function turned(counts: Counts | undefined, span: number): Counts {
  if (counts?.span === span) return counts;
  const follows = counts?.span === span - 1;
  return {
    span,
    attempts: 0,
    failures: 0,
    attemptsBefore: follows ? counts.attempts : 0,
    failuresBefore: follows ? counts.failures : 0,
  };
}
