/**
 * One run of a delivery, driven by p-retry: the attempt that was claimed (or handed over), and the quick tries that
 * follow it while this worker keeps the lease. Every attempt is recorded by the run itself, before the next one
 * begins; what p-retry cannot hold goes back to the queue with its time.
 */

import { setTimeout as sleep } from "node:timers/promises";
import pRetry from "p-retry";
import type { Pool } from "pg";
import type { ReceivingWebhook } from "../core/receiving-webhook.ts";
import { SCHEDULE_ENTRIES_MAX } from "../core/schedule.ts";
import type { Logger } from "../observe/logger.ts";
import type { Observer } from "../observe/observer.ts";
import type { AttemptTrigger } from "../store/entities/delivery.ts";
import type { CompletedAttempt, NextState } from "../store/sql/complete.ts";
import { type StopReason, settleBlocked, stopForwarding } from "../store/sql/hold.ts";
import { beginAttempt, giveBackLeases } from "../store/sql/lease.ts";
import { type EventContent, findEventContent } from "../store/sql/lookup.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { completedAttempt } from "./completed-attempt.ts";
import { type Forwarded, type ForwardSettings, forward, resultOfNothing } from "./forward.ts";
import { outcomeOf } from "./made-attempt.ts";
import type { Place } from "./place.ts";
import { type AttemptOutcome, type NextStep, nextStep } from "./retry-policy.ts";
import type { Slots } from "./slots.ts";

/** A delivery that this worker holds, at the attempt to make. */
export interface RunJob {
  readonly deliveryId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly leaseToken: string;
  /** How long ago it was due when this worker came to hold it, milliseconds. */
  readonly lateMs: number;
  readonly number: number;
  readonly step: number;
  /** Beside the schedule, which goes on where it was. */
  readonly manual: boolean;
  readonly trigger: AttemptTrigger;
  /** Whether the schedule goes on after a manual attempt. */
  readonly resumes: boolean;
  /** Came from its destination's lane: it makes no quick tries. */
  readonly laned: boolean;
  /** Tries whether a destination whose circuit is open works again. */
  readonly probe: boolean;
}

/** What a delivery begins with. */
export interface Start {
  /** Size of the event's body. */
  readonly bytes: number;
  /** Its bytes count in the budget already; without it, the delivery reads its own. */
  readonly handed: Handed | undefined;
}

export interface Handed {
  readonly webhook: ReceivingWebhook;
  readonly event: EventContent;
}

/** What a run needs of its worker. */
export interface RunContext {
  readonly pool: Pool;
  /** Attempts under way, by destination. */
  readonly slots: Slots;
  /** Bytes of bodies in memory. */
  readonly bytes: ByteBudget;
  readonly logger: Logger;
  readonly observer: Observer;
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
  /** Told after a change of which an operational event tells. */
  readonly onNotice: () => void;
  /** Told of each outcome that was recorded. */
  readonly onOutcome: (job: RunJob, outcome: AttemptOutcome) => Promise<void>;
  /** Left for each wait between quick tries; afterwards there may be none. */
  readonly place: Place;
}

/** Thrown out of a try to make p-retry go on after `delayMs`. */
class QuickRetry extends Error {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super("the attempt failed; the next try is near");
    this.delayMs = delayMs;
  }
}

/**
 * The attempt was made, but its outcome could not be recorded. Its lease is left to end, so that whoever takes the
 * delivery over writes the attempt down as interrupted: given back, its number would be used again.
 */
export class OutcomeLostError extends Error {
  override readonly name = "OutcomeLostError";

  constructor(cause: unknown) {
    super("an attempt's outcome could not be recorded", { cause });
  }
}

interface Attempt extends Pick<RunJob, "number" | "step" | "manual" | "trigger"> {
  /** When it was due, by performance.now(). */
  readonly dueMs: number;
}

/** Makes the claimed attempt and its quick tries. Resolves when the delivery is finished or back in the queue. */
export async function runDelivery(job: RunJob, context: RunContext, start: Start | Promise<Start>): Promise<void> {
  const heldMs = performance.now();
  let { bytes, handed } = await start;
  const tryOnce = async (tries: number) => {
    const attempt = attemptOf(job, tries, heldMs);
    if (tries > 1) {
      const go =
        !context.stopping.aborted && context.place.take() && (await beginAttempt(context.pool, job, context.leaseMs));
      if (!go) return await giveBackLeases(context.pool, [job], context.leaseMs);
    }
    const content = handed;
    // The body is not kept over the waits between tries.
    handed = undefined;
    if (!content) await context.bytes.take(bytes);
    const trying = attemptOnce(job, attempt, content, context);
    const next = await trying.finally(() => context.bytes.give(bytes));
    if (next?.kind === "quick") throw new QuickRetry(next.delayMs);
  };
  await pRetry(tryOnce, {
    retries: SCHEDULE_ENTRIES_MAX,
    minTimeout: 0,
    shouldRetry: ({ error }) => error instanceof QuickRetry,
    onFailedAttempt: async ({ error }) => {
      if (!(error instanceof QuickRetry)) return;
      context.place.leave();
      // A stop ends the wait at once; the try that follows then gives the lease back.
      await sleep(error.delayMs, undefined, { signal: context.stopping }).catch(() => {});
    },
  });
}

/** `heldMs` is when this worker came to hold the delivery, by performance.now(). */
function attemptOf(job: RunJob, tries: number, heldMs: number): Attempt {
  const { number, step, manual, trigger } = job;
  if (tries === 1) return { number, step, manual, trigger, dueMs: heldMs - job.lateMs };
  const later = tries - 1;
  const dueMs = performance.now();
  return { number: number + later, step: step + later, manual: false, trigger: "scheduled", dueMs };
}

/** Makes and records one attempt; undefined if it could not be made, or its lease was lost. */
async function attemptOnce(
  job: RunJob,
  attempt: Attempt,
  handed: Handed | undefined,
  context: RunContext,
): Promise<NextState | undefined> {
  const webhook = handed?.webhook ?? (await context.loadWebhook(job.webhookId));
  const url = webhook?.record.url;
  const event = handed?.event ?? (await readEvent(job, context));
  const made = await context.slots.run(job.webhookId, async (): Promise<Made | undefined> => {
    if (!webhook || !url || context.stopping.aborted) return undefined;
    const sentMs = performance.now();
    const traceparent = context.observer.traceparent(job.eventId, job.deliveryId, attempt.number);
    const target = { webhook, url, number: attempt.number, traceparent };
    const forwarded = event ? await forwardOrFail(event, target, context) : eventGone(context);
    const { rules } = webhook;
    const ruled = { schedule: rules.schedule(context.schedule), skips: rules.skipsFailed };
    return { url, forwarded, ...ruled, eventIsThere: event !== undefined, sentMs };
  });
  if (!made) {
    await giveBackLeases(context.pool, [job], context.leaseMs);
    return undefined;
  }
  const settling = settle(job, attempt, made, context);
  return await settling.catch((error: unknown) => {
    throw new OutcomeLostError(error);
  });
}

/** An attempt that was made; `sentMs` is when it began, by performance.now(). */
interface Made {
  readonly url: string;
  readonly forwarded: Forwarded;
  /** Of the webhook. */
  readonly schedule: readonly number[];
  /** Whether those in order behind it may pass while it waits for its retry. */
  readonly skips: boolean;
  readonly eventIsThere: boolean;
  readonly sentMs: number;
}

/** Records an attempt that was made, and what follows it; undefined if its lease was lost. */
async function settle(job: RunJob, attempt: Attempt, made: Made, context: RunContext): Promise<NextState | undefined> {
  const { url, forwarded, sentMs } = made;
  const endedMs = performance.now();
  const step = judge(job, attempt, made, context);
  const next = made.eventIsThere ? toNextState(step, job, attempt, made, context) : ({ kind: "failed" } as const);
  // Stopped first, recorded then: what is owed is held before this delivery can fall due again.
  if (step.kind === "stop") await stop(job.webhookId, url, step.reason, context);
  const completed = completedAttempt(job, attempt, { url, forwarded }, next);
  const held = await context.complete(completed);
  context.observer.attempted({
    outcome: held ? outcomeOf(step, next) : "lost",
    eventId: job.eventId,
    attempt: completed,
    stages: { queue: sentMs - attempt.dueMs, attempt: endedMs - sentMs, completion: performance.now() - endedMs },
  });
  if (!held) return undefined;
  context.place.attemptMs = forwarded.result.durationMs;
  if (next.kind === "failed") context.onNotice();
  await context.onOutcome(job, forwarded.result);
  if (step.kind === "stop") await settleBlocked(context.pool, [job.deliveryId]);
  return next;
}

async function stop(webhookId: string, url: string, reason: StopReason, context: RunContext) {
  const { pool, leaseMs, logger, onNotice } = context;
  const isNew = await stopForwarding(pool, { webhookId, url, reason, leaseMs });
  if (isNew) onNotice();
  if (isNew) logger.warn({ webhook: webhookId, reason }, "forwarding stopped: the destination is gone");
}

const readEvent = (job: RunJob, { pool }: RunContext) => findEventContent(pool, job.organizationId, job.eventId);

/** An attempt that our own fault prevents is recorded and follows the schedule like any other. */
async function forwardOrFail(
  event: EventContent,
  target: Parameters<typeof forward>[1],
  context: RunContext,
): Promise<Forwarded> {
  try {
    return await forward(event, target, context.settings, context.signal);
  } catch (error) {
    context.logger.error({ event: event.id, err: error }, "an attempt could not be made");
    return notSent(context, "internal", "the attempt could not be made; the service's log says why");
  }
}

const eventGone = (context: RunContext): Forwarded =>
  notSent(context, "expired", "the event is older than RETENTION_DAYS and no longer recorded; nothing was sent");

function notSent(context: RunContext, errorCode: "internal" | "expired", errorMessage: string): Forwarded {
  return {
    senderVersion: null,
    credentialHeaders: null,
    result: resultOfNothing(context.settings.clock.now(), errorCode, errorMessage),
  };
}

/** What follows by the schedule; a manual attempt leaves the schedule where it was. */
function judge(job: RunJob, attempt: Attempt, { forwarded, schedule }: Made, { random }: RunContext): NextStep {
  const outcome = forwarded.result;
  if (outcome.errorCode === "too_many_hops") return { kind: "exhausted" };
  // A shutdown cut it short: it is no fault of the destination's and costs no step.
  if (outcome.errorCode === "aborted") return { kind: "retry", delayMs: 0 };
  const step = nextStep({ schedule, attemptNumber: attempt.step, outcome, retryAfterMs: outcome.retryAfterMs, random });
  if (!attempt.manual || step.kind === "succeeded" || step.kind === "stop") return step;
  return job.resumes ? { kind: "retry", delayMs: 0 } : { kind: "exhausted" };
}

function toNextState(
  step: NextStep,
  job: RunJob,
  attempt: Attempt,
  { forwarded, schedule, skips }: Made,
  context: RunContext,
): NextState {
  switch (step.kind) {
    case "succeeded":
      return { kind: "succeeded" };
    case "exhausted":
      return { kind: "failed" };
    case "stop":
      // Stays owed: the stop holds it, and a resume goes on with the schedule.
      return { kind: "retry", delayMs: schedule[attempt.step] ?? 0 };
    case "retry": {
      if (forwarded.result.errorCode === "aborted") return { kind: "retry", delayMs: 0, keepStep: !attempt.manual };
      if (attempt.manual) return { kind: "retry", delayMs: step.delayMs, resumes: true };
      const quick = !job.laned && step.delayMs <= context.quickDelayMsMax && !context.stopping.aborted;
      return quick
        ? { kind: "quick", delayMs: step.delayMs }
        : { kind: "retry", delayMs: step.delayMs, unordered: skips };
    }
  }
}
