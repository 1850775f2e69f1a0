/** When a delivery is tried again. Pure: the schedule, the outcome and a random number go in, the next step comes out. */

/** The longest that a Retry-After is honoured, milliseconds. */
export const RETRY_AFTER_MS_MAX = 86_400_000;
/** Delays vary by this share either way, so that deliveries that failed together do not come back together. */
export const JITTER = 0.1;

/** What an attempt came to, as AttemptResult says it. */
export interface AttemptOutcome {
  readonly statusCode: number | null;
  /** null: succeeded. */
  readonly errorCode: string | null;
}

/** What follows an attempt. `stop`: the destination said that it is gone (410) and gets nothing more. */
export type NextStep =
  | { readonly kind: "succeeded" }
  | { readonly kind: "retry"; readonly delayMs: number }
  | { readonly kind: "exhausted" }
  | { readonly kind: "stop"; readonly reason: "gone" };

export interface NextStepInput {
  /** As parsed by `parseSchedule`. */
  readonly schedule: readonly number[];
  /** The attempt that has just ended, from 1. */
  readonly attemptNumber: number;
  readonly outcome: AttemptOutcome;
  /** What a 429 or 503 asked for, milliseconds; null: nothing. */
  readonly retryAfterMs: number | null;
  /** In [0, 1); Math.random outside tests. */
  readonly random: () => number;
}

/**
 * The step after an attempt. Success is the absence of an error code: a 2xx whose body never ended is retried. The
 * delay is the schedule's, ±10 %. A Retry-After lengthens it and never shortens it: at least what was asked, up to
 * 10 % more, at most RETRY_AFTER_MS_MAX (or the schedule's own delay, if that is longer). It adds no attempts.
 */
export function nextStep(input: NextStepInput): NextStep {
  const { schedule, attemptNumber, outcome } = input;
  if (outcome.errorCode === null) return { kind: "succeeded" };
  if (outcome.statusCode === 410) return { kind: "stop", reason: "gone" };
  const scheduledMs = schedule[attemptNumber];
  if (scheduledMs === undefined) return { kind: "exhausted" };
  const random = input.random();
  const delayMs = Math.round(scheduledMs * (1 - JITTER + 2 * JITTER * random));
  return { kind: "retry", delayMs: Math.max(delayMs, honoured(input, random)) };
}

function honoured({ outcome, retryAfterMs }: NextStepInput, random: number): number {
  const asks = outcome.statusCode === 429 || outcome.statusCode === 503;
  if (!asks || retryAfterMs === null) return 0;
  return Math.min(Math.round(Math.max(retryAfterMs, 0) * (1 + JITTER * random)), RETRY_AFTER_MS_MAX);
}
