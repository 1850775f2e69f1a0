/**
 * Finished spans → an OpenTelemetry collector, in batches, by OTLP over HTTP as JSON. Loaded only where it is wanted,
 * because OpenTelemetry takes room. https://opentelemetry.io/docs/specs/otlp/
 */
import { randomUUID } from "node:crypto";
import { type HrTime, type Link, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  defaultResource,
  detectResources,
  type Resource,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from "@opentelemetry/sdk-trace";
import type { Logger } from "./logger.ts";
import type { FinishedSpan, SpanExport } from "./spans.ts";
import type { RemoteSpan } from "./trace-ids.ts";

/** Bounds of the export. Times in milliseconds. */
export interface SpanLimits {
  readonly spansWaitingMax: number;
  readonly spanBatchMax: number;
  readonly spanBatchIntervalMs: number;
  readonly spanExportTimeoutMs: number;
}

export interface OtlpOptions {
  /** Where the collector takes traces. */
  readonly url: string;
  readonly version: string;
  readonly logger: Logger;
  readonly limits: SpanLimits;
}

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;

export class OtlpExport implements SpanExport {
  readonly #processor: BatchSpanProcessor;
  readonly #limits: SpanLimits;
  readonly #logger: Logger;
  readonly #resource: Resource;
  readonly #scope: ReadableSpan["instrumentationScope"];
  #waiting = 0;
  #failing = false;
  readonly #counts = { exported: 0, failed: 0, dropped: 0 };

  /** What the environment says of the exporter (`OTEL_EXPORTER_OTLP_HEADERS` and others) the library reads itself. */
  constructor({ url, version, logger, limits }: OtlpOptions) {
    this.#limits = limits;
    this.#logger = logger;
    this.#scope = { name: "alumia-webhooks", version };
    const own = { "service.name": "alumia-webhooks", "service.version": version, "service.instance.id": randomUUID() };
    const asked = detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] });
    this.#resource = defaultResource().merge(resourceFromAttributes(own)).merge(asked);
    const exporter = new OTLPTraceExporter({ url, timeoutMillis: limits.spanExportTimeoutMs });
    this.#processor = new BatchSpanProcessor({
      exporter: this.#watched(exporter),
      maxQueueSize: limits.spansWaitingMax,
      maxExportBatchSize: limits.spanBatchMax,
      scheduledDelayMillis: limits.spanBatchIntervalMs,
      exportTimeoutMillis: limits.spanExportTimeoutMs,
    });
  }

  /** Spans that the collector has taken, that it has not, and that found no room to wait. */
  get counts(): Readonly<Record<"exported" | "failed" | "dropped", number>> {
    return this.#counts;
  }

  add(span: FinishedSpan): void {
    if (this.#waiting >= this.#limits.spansWaitingMax) {
      this.#counts.dropped += 1;
      return;
    }
    this.#waiting += 1;
    this.#processor.onEnd(this.#readable(span));
  }

  async close(): Promise<void> {
    await this.#processor.shutdown();
  }

  /** The exporter, with its outcomes counted, and told where they change. */
  #watched(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) => {
        exporter.export(spans, (result) => {
          this.#waiting -= spans.length;
          this.#counts[result.error ? "failed" : "exported"] += spans.length;
          if (result.error && !this.#failing) this.#logger.warn({ err: result.error }, "spans cannot be exported");
          else if (!result.error && this.#failing) this.#logger.info("spans are exported again");
          this.#failing = result.error !== undefined;
          done(result);
        });
      },
      shutdown: () => exporter.shutdown(),
    };
  }

  #readable({
    name,
    kind,
    traceId,
    parentSpanId,
    attributes,
    startMs,
    endMs,
    error,
    ...span
  }: FinishedSpan): ReadableSpan {
    const context = contextOf({ traceId, spanId: span.spanId, sampled: true });
    const links: Link[] = span.link ? [{ context: { ...contextOf(span.link), isRemote: true } }] : [];
    return {
      name,
      kind: KINDS[kind],
      spanContext: () => context,
      ...(parentSpanId === undefined ? {} : { parentSpanContext: { ...context, spanId: parentSpanId } }),
      startTime: toHrTime(startMs),
      endTime: toHrTime(endMs),
      duration: toHrTime(endMs - startMs),
      ended: true,
      status: error === null ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
      attributes: { ...attributes },
      links,
      events: [],
      resource: this.#resource,
      instrumentationScope: this.#scope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }
}

const contextOf = ({ traceId, spanId, sampled }: RemoteSpan): SpanContext => ({
  traceId,
  spanId,
  traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
});

/** Seconds and nanoseconds. */
function toHrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.trunc((ms - seconds * 1_000) * 1e6)];
}
