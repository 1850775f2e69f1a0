/** The settings of what is shown to those who run the service: where metrics are, and where traces go. */
import { ConfigError, parseInteger } from "./config-values.ts";

/** Bounds that no environment variable changes; they stand in LIMITS. */
export const OBSERVING_LIMITS = {
  /** Log: bytes that wait for whoever reads it; with more of them lines are dropped. */
  logBytesMax: 4 * 1024 * 1024,
  /** The metrics' port: connections, and time for a request, milliseconds. */
  metricsConnectionsMax: 64,
  metricsRequestTimeoutMs: 10_000,
  /** How long a scrape waits for one figure; how long what the store was asked for is shown again, milliseconds. */
  metricsReadMsMax: 2_000,
  metricsStoreIntervalMs: 5_000,
  /** Rows of the queue that are counted in each state; where there are more, this is what is shown. */
  queueCountMax: 100_000,
  /** Spans: waiting for their export, of one export; least time between exports and time for one, milliseconds. */
  spansWaitingMax: 8_192,
  spanBatchMax: 256,
  spanBatchIntervalMs: 1_000,
  spanExportTimeoutMs: 5_000,
};

/** Nothing is shown where a part is undefined. */
export interface ObservingConfig {
  /** Where Prometheus finds the metrics. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** Where the collector takes traces (OTLP over HTTP), and the share of events that are traced, 0 to 1. */
  readonly tracing: { readonly url: string; readonly ratio: number } | undefined;
}

/** The value of a variable; undefined where it is unset or empty. */
type Text = (name: string) => string | undefined;

export const observingConfig = (text: Text): ObservingConfig => ({
  metrics: metricsPort(text),
  tracing: tracing(text),
});

function metricsPort(text: Text): ObservingConfig["metrics"] {
  const host = text("METRICS_HOST");
  const port = text("METRICS_PORT");
  if (port !== undefined) {
    return { host: host ?? "127.0.0.1", port: parseInteger("METRICS_PORT", port, 0, 0, 65_535) };
  }
  if (host !== undefined) throw new ConfigError("METRICS_PORT is required with METRICS_HOST, such as 9464");
  return undefined;
}

/** By the names that OpenTelemetry gives them. */
function tracing(text: Text): ObservingConfig["tracing"] {
  const url = endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", text) ?? baseEndpoint(text);
  const share = ratio("OTEL_TRACES_SAMPLER_ARG", text("OTEL_TRACES_SAMPLER_ARG"));
  return url && { url: url.href, ratio: share };
}

/** One for all signals, each of which has a path below it. */
function baseEndpoint(text: Text): URL | undefined {
  const url = endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", text);
  if (url) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  return url;
}

/** What is wrong may hold a credential, so it is not quoted. */
function endpoint(name: string, text: Text): URL | undefined {
  const value = text(name);
  if (value === undefined) return undefined;
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new ConfigError(
      `${name} takes the URL of a collector such as http://127.0.0.1:4318, without a password in it (OTEL_EXPORTER_OTLP_HEADERS takes credentials)`,
    );
  }
  return url;
}

function ratio(name: string, value: string | undefined): number {
  if (value === undefined) return 1;
  const share = Number(value);
  if (!/^\d+(\.\d+)?$/.test(value) || share > 1) {
    throw new ConfigError(`${name} takes a share of the events from 0 to 1, not "${value}"`);
  }
  return share;
}
