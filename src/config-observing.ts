/** The settings of what is shown to those who run the service. */
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
};

export interface MetricsPort {
  readonly host: string;
  readonly port: number;
}

/** The value of a variable; undefined where it is unset or empty. */
type Text = (name: string) => string | undefined;

export function metricsPort(text: Text): MetricsPort | undefined {
  const host = text("METRICS_HOST");
  const port = text("METRICS_PORT");
  if (port !== undefined) {
    return { host: host ?? "127.0.0.1", port: parseInteger("METRICS_PORT", port, 0, 0, 65_535) };
  }
  if (host !== undefined) throw new ConfigError("METRICS_PORT is required with METRICS_HOST, such as 9464");
  return undefined;
}
