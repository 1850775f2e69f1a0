/** Sees the work: each event and each attempt becomes a line of the log and, where they are wanted, figures and spans. */
import type { Logger } from "./logger.ts";
import type { BatchName, Metrics } from "./metrics.ts";
import { type MadeAttempt, originOf, type ReceivedEvent } from "./records.ts";
import type { Spans } from "./spans.ts";

export class Observer {
  readonly #lines: Logger;
  readonly #metrics: Metrics | undefined;
  readonly #spans: Spans | undefined;

  constructor(parts: { logger: Logger; metrics?: Metrics | undefined; spans?: Spans | undefined }) {
    // Looking for secrets costs several times what a line does, and the fields here are few, ours and none of them.
    this.#lines = parts.logger.child({}, { redact: [] });
    this.#metrics = parts.metrics;
    this.#spans = parts.spans;
  }

  /** An event was acknowledged. */
  received(event: ReceivedEvent): void {
    this.#metrics?.received(event);
    this.#spans?.received(event);
    if (!this.#lines.isLevelEnabled("info")) return;
    const { eventId, organizationId, webhookId, deliveryId, stages, traceparent: _, ...rest } = event;
    const { read, verify, commit } = stages;
    const ids = { event: eventId, organization: organizationId, webhook: webhookId, delivery: deliveryId };
    const times = { readMs: rounded(read), verifyMs: rounded(verify), commitMs: rounded(commit) };
    this.#lines.info({ ...ids, ...rest, ...times }, "event received");
  }

  /** A receive was refused. `code` is that of the error as REST shows it. */
  refused(code: string): void {
    this.#metrics?.refused(code);
  }

  /** A request by which a provider tries the URL was answered. */
  greeted(): void {
    this.#metrics?.greeted();
  }

  /** An attempt was made, and recorded unless it was lost. */
  attempted(made: MadeAttempt): void {
    this.#metrics?.attempted(made);
    this.#spans?.attempted(made);
    if (!this.#lines.isLevelEnabled("info")) return;
    const { outcome, eventId, attempt, stages } = made;
    const { times } = attempt;
    const line = {
      event: eventId,
      organization: attempt.organizationId,
      webhook: attempt.webhookId,
      delivery: attempt.deliveryId,
      attempt: attempt.number,
      trigger: attempt.trigger,
      outcome,
      destination: originOf(attempt.url),
      remoteAddress: attempt.remoteAddress,
      statusCode: attempt.statusCode,
      errorCode: attempt.errorCode,
      nextMs: rounded(attempt.next.delayMs),
      queueMs: rounded(stages.queue),
      attemptMs: rounded(stages.attempt),
      dnsMs: rounded(times.dnsMs),
      connectMs: rounded(times.connectMs),
      tlsMs: rounded(times.tlsMs),
      firstByteMs: rounded(times.firstByteMs),
      completionMs: rounded(stages.completion),
    };
    this.#lines.info(line, "attempt made");
  }

  /** Does the work of a batch of so many rows, and tells how long it took or that it failed. */
  async batch<Result>(name: BatchName, rows: number, work: () => Promise<Result>): Promise<Result> {
    const startedMs = performance.now();
    try {
      const result = await work();
      this.#metrics?.batch(name, rows, performance.now() - startedMs);
      return result;
    } catch (error) {
      this.#metrics?.batchFailed(name);
      throw error;
    }
  }

  /** The `traceparent` (W3C Trace Context) that an attempt carries; null unless there are traces. */
  traceparent(eventId: string, deliveryId: string, attemptNumber: number): string | null {
    return this.#spans?.traceparent(eventId, deliveryId, attemptNumber) ?? null;
  }
}

/** To a tenth of a millisecond. */
const rounded = (ms: number | null | undefined): number | undefined =>
  ms == null ? undefined : Math.round(ms * 10) / 10;
