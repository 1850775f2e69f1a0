/**
 * One run of a delivery, driven by p-retry: the attempt that was claimed (or handed over), and the quick tries that
 * follow it while this worker keeps the lease. Every attempt is recorded by the run itself, before the next one
 * begins; what p-retry cannot hold goes back to the queue with its time.
 */

import { setTimeout as sleep } from "node:timers/promises";
import pRetry from "p-retry";
import type { Pool } from "pg";
import type { ReceivingWebhook } from "../core/receiving-webhook.ts";
import type { CompletedAttempt, NextState } from "../store/sql/complete.ts";
import { stopForwarding } from "../store/sql/hold.ts";
import { beginAttempt, giveBackLeases } from "../store/sql/lease.ts";
import { type EventContent, findEventContent } from "../store/sql/lookup.ts";
import type { AttemptResult } from "./attempt.ts";
import { type Forwarded, type ForwardSettings, forward } from "./forward.ts";
import { type NextStep, nextStep } from "./retry-policy.ts";
import type { Slots } from "./slots.ts";

/** A delivery that this worker holds, at the attempt to make. */
export interface RunJob {
  readonly deliveryId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly leaseToken: string;
  readonly number: number;
  readonly step: number;
  readonly manual: boolean;
  readonly resumeAtMs: number | null;
  /** What came with a hand-over; a claimed delivery reads its own. */
  readonly handed?: { readonly webhook: ReceivingWebhook; readonly event: EventContent };
}

/** What a run needs of its worker. */
export interface RunContext {
  readonly pool: Pool;
  readonly slots: Slots;
  readonly settings: ForwardSettings;
  readonly schedule: readonly number[];
  readonly leaseMs: number;
  readonly quickDelayMsMax: number;
  readonly random: () => number;
  /** Aborted when the lease is lost or the grace of a shutdown has ended. */
  readonly signal: AbortSignal;
  /** Aborted as soon as the worker stops: no further try begins. */
  readonly stopping: AbortSignal;
  readonly loadWebhook: (id: string) => Promise<ReceivingWebhook | undefined>;
  /** Commits the outcome; false if the lease was lost. */
  readonly complete: (attempt: CompletedAttempt) => Promise<boolean>;
}

/** Thrown out of a try to make p-retry go on after `delayMs`. */
class QuickRetry extends Error {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super("the attempt failed; the next try is near");
    this.delayMs = delayMs;
  }
}

type Attempt = Pick<RunJob, "number" | "step" | "manual">;

/** Makes the claimed attempt and its quick tries. Resolves when the delivery is finished or back in the queue. */
export async function runDelivery(job: RunJob, context: RunContext): Promise<void> {
  const lease = { deliveryId: job.deliveryId, leaseToken: job.leaseToken };
  const tryOnce = async (tries: number) => {
    if (tries > 1 && (context.stopping.aborted || !(await beginAttempt(context.pool, lease, context.leaseMs)))) {
      return await giveBackLeases(context.pool, [lease], context.leaseMs);
    }
    const attempt = tries === 1 ? job : { number: job.number + tries - 1, step: job.step + tries - 1, manual: false };
    const next = await attemptOnce(job, attempt, tries === 1 ? job.handed : undefined, context);
    if (next?.kind === "quick") throw new QuickRetry(next.delayMs);
  };
  await pRetry(tryOnce, {
    retries: context.schedule.length,
    minTimeout: 0,
    shouldRetry: ({ error }) => error instanceof QuickRetry,
    onFailedAttempt: async ({ error }) => {
      // A stop ends the wait at once; the try that follows then gives the lease back.
      if (error instanceof QuickRetry)
        await sleep(error.delayMs, undefined, { signal: context.stopping }).catch(() => {});
    },
  });
}

/** Makes and records one attempt; undefined if it could not be made, or its lease was lost. */
async function attemptOnce(
  job: RunJob,
  attempt: Attempt,
  handed: RunJob["handed"],
  context: RunContext,
): Promise<NextState | undefined> {
  const webhook = handed?.webhook ?? (await context.loadWebhook(job.webhookId));
  const event = handed?.event ?? (await findEventContent(context.pool, job.organizationId, job.eventId));
  const url = webhook?.record.url;
  if (!webhook || !event || !url) {
    await giveBackLeases(context.pool, [job], context.leaseMs);
    return undefined;
  }
  const target = { webhook, url, number: attempt.number };
  const forwarded = await context.slots.run(() => forward(event, target, context.settings, context.signal));
  const step = judge(job, attempt, forwarded.result, context);
  const next = toNextState(step, attempt, context);
  const held = await context.complete(record(job, attempt, url, forwarded, next));
  if (!held) return undefined;
  if (step.kind === "stop") await stopForwarding(context.pool, job.webhookId, url, step.reason);
  return next;
}

/** What follows by the schedule; a manual attempt leaves the schedule where it was. */
function judge(job: RunJob, attempt: Attempt, outcome: AttemptResult, context: RunContext): NextStep {
  if (outcome.errorCode === "too_many_hops") return { kind: "exhausted" };
  const { schedule, random } = context;
  const step = nextStep({ schedule, attemptNumber: attempt.step, outcome, retryAfterMs: outcome.retryAfterMs, random });
  if (!attempt.manual || step.kind === "succeeded" || step.kind === "stop") return step;
  if (job.resumeAtMs === null) return { kind: "exhausted" };
  return { kind: "retry", delayMs: Math.max(job.resumeAtMs - context.settings.clock.now(), 0) };
}

function toNextState(step: NextStep, attempt: Attempt, context: RunContext): NextState {
  switch (step.kind) {
    case "succeeded":
      return { kind: "succeeded" };
    case "exhausted":
      return { kind: "failed" };
    case "stop":
      // Stays owed: the stop holds it, and a resume goes on with the schedule.
      return { kind: "retry", delayMs: context.schedule[attempt.step] ?? 0 };
    case "retry": {
      const quick = step.delayMs <= context.quickDelayMsMax && !attempt.manual && !context.stopping.aborted;
      return { kind: quick ? "quick" : "retry", delayMs: step.delayMs };
    }
  }
}

function record(
  job: RunJob,
  attempt: Attempt,
  url: string,
  { requestHeaders, result }: Forwarded,
  next: NextState,
): CompletedAttempt {
  return {
    deliveryId: job.deliveryId,
    leaseToken: job.leaseToken,
    organizationId: job.organizationId,
    webhookId: job.webhookId,
    number: attempt.number,
    trigger: attempt.manual ? "manual" : "scheduled",
    succeeded: result.errorCode === null,
    url,
    startedAtMs: result.startedAtMs,
    durationMs: result.durationMs,
    statusCode: result.statusCode,
    errorCode: result.errorCode,
    errorMessage: result.errorMessage,
    requestHeaders,
    responseHeaders: result.responseHeaders.map(([name, value]) => [name, value]),
    responseBody: result.responseBody,
    responseTruncated: result.responseTruncated,
    remoteAddress: result.remoteAddress,
    next,
  };
}
