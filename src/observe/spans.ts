/** Records → spans: a trace for each event, whose root is the receive and whose branches are the attempts. */
import { randomBytes } from "node:crypto";
import { type MadeAttempt, originOf, type ReceivedEvent } from "./records.ts";
import {
  attemptSpanIdOf,
  formatTraceparent,
  isSampled,
  parseTraceparent,
  type RemoteSpan,
  receiveSpanIdOf,
  traceIdOf,
} from "./trace-ids.ts";

/** A finished span. Times are milliseconds since the Unix epoch. */
export interface FinishedSpan {
  readonly name: string;
  /** Whether somebody called us, or we somebody. */
  readonly kind: "server" | "client";
  readonly traceId: string;
  readonly spanId: string;
  /** In the same trace; undefined for its root. */
  readonly parentSpanId: string | undefined;
  readonly startMs: number;
  readonly endMs: number;
  /** Why what the span stands for failed; null if it did not. */
  readonly error: string | null;
  /** A span of another trace that caused this one. */
  readonly link: RemoteSpan | undefined;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Takes finished spans to where they are kept. */
export interface SpanExport {
  add(span: FinishedSpan): void;
  /** Sends what waits, and takes no more. */
  close(): Promise<void>;
}

export class Spans {
  readonly #out: SpanExport;
  readonly #ratio: number;

  /** `ratio` is the share of events that are traced, 0 to 1. */
  constructor(out: SpanExport, ratio: number) {
    this.#out = out;
    this.#ratio = ratio;
  }

  received(event: ReceivedEvent): void {
    const traceId = traceIdOf(event.eventId);
    if (isSampled(traceId, this.#ratio)) this.#out.add(receiveSpan(event, traceId, Date.now()));
  }

  /** An attempt that was lost gets its span from whoever has taken it over and written it down. */
  attempted(made: MadeAttempt): void {
    if (made.outcome === "lost") return;
    const traceId = traceIdOf(made.eventId);
    if (isSampled(traceId, this.#ratio)) this.#out.add(attemptSpan(made, traceId, Date.now()));
  }

  /** What an attempt tells its destination, so that the spans made there become branches of its own. */
  traceparent(eventId: string, deliveryId: string, attemptNumber: number): string {
    const traceId = traceIdOf(eventId);
    const spanId = attemptSpanIdOf(deliveryId, attemptNumber);
    return formatTraceparent({ traceId, spanId, sampled: isSampled(traceId, this.#ratio) });
  }
}

/** A repeat stands in the trace of the event that it repeats, below its receive. */
function receiveSpan(event: ReceivedEvent, traceId: string, endMs: number): FinishedSpan {
  const { read = 0, verify, commit } = event.stages;
  const root = receiveSpanIdOf(event.eventId);
  const isRepeat = event.outcome === "duplicate";
  const sender = event.traceparent();
  return {
    name: "receive",
    kind: "server",
    traceId,
    spanId: isRepeat ? randomBytes(8).toString("hex") : root,
    parentSpanId: isRepeat ? root : undefined,
    startMs: endMs - read - verify - commit,
    endMs,
    error: null,
    link: sender === undefined ? undefined : parseTraceparent(sender),
    attributes: {
      ...attributesOf(event),
      "alumia.outcome": event.outcome,
      "alumia.source": event.source,
      "alumia.scheme": event.scheme,
      "alumia.verified": event.verified,
      "alumia.synthetic": event.synthetic,
      "alumia.bytes": event.bytes,
      "alumia.read_ms": read,
      "alumia.verify_ms": verify,
      "alumia.commit_ms": commit,
      ...present({ "alumia.event.type": event.type, "alumia.delivery.id": event.deliveryId }),
    },
  };
}

function attemptSpan({ outcome, eventId, stages, attempt }: MadeAttempt, traceId: string, nowMs: number): FinishedSpan {
  const { completion = 0 } = stages;
  const endMs = nowMs - completion;
  return {
    name: "attempt",
    kind: "client",
    traceId,
    spanId: attemptSpanIdOf(attempt.deliveryId, attempt.number),
    parentSpanId: receiveSpanIdOf(eventId),
    startMs: endMs - (stages.attempt ?? attempt.durationMs),
    endMs,
    error: attempt.errorCode,
    link: undefined,
    attributes: {
      ...attributesOf({ ...attempt, eventId }),
      "alumia.delivery.id": attempt.deliveryId,
      "alumia.attempt.number": attempt.number,
      "alumia.attempt.trigger": attempt.trigger,
      "alumia.outcome": outcome,
      "http.request.method": "POST",
      ...present({
        "alumia.destination": originOf(attempt.url),
        "alumia.queue_ms": stages.queue,
        "alumia.dns_ms": attempt.times.dnsMs,
        "alumia.connect_ms": attempt.times.connectMs,
        "alumia.tls_ms": attempt.times.tlsMs,
        "alumia.first_byte_ms": attempt.times.firstByteMs,
        "alumia.completion_ms": stages.completion,
        "network.peer.address": attempt.remoteAddress,
        "http.response.status_code": attempt.statusCode,
        "error.type": attempt.errorCode,
      }),
    },
  };
}

const attributesOf = (ids: { organizationId: string; webhookId: string; eventId: string }) => ({
  "alumia.organization.id": ids.organizationId,
  "alumia.webhook.id": ids.webhookId,
  "alumia.event.id": ids.eventId,
});

/** Those that have a value. */
function present(attributes: Readonly<Record<string, string | number | null | undefined>>) {
  const entries = Object.entries(attributes).flatMap(([name, value]) =>
    value == null ? [] : [[name, value] as const],
  );
  return Object.fromEntries(entries);
}
