/** What those who run the service are told of attempts. */
import type { AttemptOutcome, MadeAttempt } from "../observe/records.ts";
import { NO_TIMES } from "../outbound/request.ts";
import type { LostAttempt } from "../store/sql/claim.ts";
import type { NextState } from "../store/sql/complete.ts";
import type { AttemptErrorCode } from "./attempt-error.ts";
import type { NextStep } from "./retry-policy.ts";

/** What follows from an attempt that was recorded. */
export function outcomeOf(step: NextStep, next: NextState): AttemptOutcome {
  if (step.kind === "stop") return "stopped";
  return next.kind === "succeeded" || next.kind === "failed" ? next.kind : "retry";
}

/** An attempt whose worker died over it, as the claim has recorded it. */
export function interruptedAttempt({ eventId, isLast, ...attempt }: LostAttempt): MadeAttempt {
  const errorCode: AttemptErrorCode = "interrupted";
  const unknown = { url: null, statusCode: null, remoteAddress: null, times: NO_TIMES };
  return {
    outcome: isLast ? "failed" : "retry",
    eventId,
    stages: {},
    attempt: { ...attempt, ...unknown, errorCode, next: { kind: isLast ? "failed" : "retry" } },
  };
}
