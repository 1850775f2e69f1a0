/** The part of the composition root that shows the work to those who run the service: log, metrics, traces. */
import type { Pool } from "pg";
import type { Config, Limits } from "./config.ts";
import type { EventRecorder } from "./core/event-recorder.ts";
import type { DeliveryWorker } from "./delivery/worker.ts";
import type { BodyBudget } from "./edge/body-budget.ts";
import { type ListenPlace, listenOrExplain, originOf } from "./edge/listen.ts";
import type { Listener } from "./edge/listener.ts";
import { remember } from "./edge/readiness.ts";
import type { Logger } from "./observe/logger.ts";
import type { Figure } from "./observe/metrics.ts";
import { Observer } from "./observe/observer.ts";
import type { OtlpExport } from "./observe/otlp.ts";
import { Spans } from "./observe/spans.ts";
import type { HttpClient } from "./outbound/http-client.ts";
import { queueFigures } from "./store/sql/queue-figures.ts";
import type { Store } from "./store/store.ts";
import { VERSION } from "./version.ts";

/** What is looked at in each scrape. */
export interface Watched {
  readonly store: Store;
  readonly listener: Listener;
  readonly budget: BodyBudget;
  readonly recorder: EventRecorder;
  readonly worker: DeliveryWorker;
  readonly client: HttpClient;
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
}

export interface Observing {
  readonly observer: Observer;
  /** Where the metrics are, once they are shown; deliveries must never go there. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  readonly metricsUrl: string | undefined;
  /** Shows the figures of these parts, if metrics are wanted. Rejects with a ConfigError where the port is at fault. */
  show(watched: Watched): Promise<void>;
  /** Sends the spans that wait. May be called twice. */
  close(): Promise<void>;
}

export const metricsPlace = ({ metrics }: Config): ListenPlace | undefined =>
  metrics && { ...metrics, names: { host: "METRICS_HOST", port: "METRICS_PORT" } };

/** What metrics and traces need is loaded only where they are wanted. */
export async function createObserving(config: Config, logger: Logger, limits: Limits): Promise<Observing> {
  const place = metricsPlace(config);
  const metrics = place && new (await import("./observe/metrics.ts")).Metrics(limits);
  const otlp = config.tracing && (await openOtlp(config.tracing.url, logger, limits));
  const spans = otlp && config.tracing && new Spans(otlp, config.tracing.ratio);
  const endpoints: { address: string; port: number }[] = [];
  let metricsUrl: string | undefined;
  const closing: (() => Promise<void>)[] = otlp ? [() => otlp.close()] : [];
  let closed: Promise<unknown> | undefined;
  return {
    observer: new Observer({ logger, metrics, spans }),
    endpoints,
    get metricsUrl() {
      return metricsUrl;
    },
    show: async (watched) => {
      if (!metrics || !place) return;
      for (const figure of figuresOf(watched, limits, otlp)) metrics.watch(figure);
      const { MetricsServer } = await import("./observe/metrics-server.ts");
      const server = new MetricsServer(metrics, logger, limits);
      const port = await listenOrExplain(server, place);
      closing.push(() => server.close());
      endpoints.push({ address: place.host, port });
      metricsUrl = `${originOf({ host: place.host, tls: undefined }, port)}/metrics`;
      logger.info({ url: metricsUrl }, "metrics are shown");
    },
    close: async () => {
      closed ??= Promise.all(closing.map((close) => close()));
      await closed;
    },
  };
}

async function openOtlp(url: string, logger: Logger, limits: Limits): Promise<OtlpExport> {
  const { OtlpExport } = await import("./observe/otlp.ts");
  return new OtlpExport({ url, version: VERSION, logger, limits });
}

function figuresOf(watched: Watched, limits: Limits, otlp: OtlpExport | undefined): Figure[] {
  const { listener, budget, recorder, worker, client, readiness } = watched;
  return [
    { name: "info", help: "Always 1, by version", label: "version", read: () => ({ [VERSION]: 1 }) },
    {
      name: "ready",
      help: "Whether a part works that must, 1 or 0",
      label: "part",
      read: async () => mapped(await readiness(), Number),
    },
    { name: "port_open", help: "What is open at the port", label: "kind", read: () => ({ ...listener.counts() }) },
    { name: "body_bytes", help: "Bytes of request bodies in memory", read: () => budget.bytes },
    {
      name: "batch_waiting_rows",
      help: "Rows in memory that wait for a batch",
      label: "batch",
      read: () => ({ ...recorder.waiting, complete: worker.counts.completionsWaiting }),
    },
    {
      name: "delivery_under_way",
      help: "Attempts under way, deliveries in memory, and bytes of their bodies",
      label: "kind",
      read: () => worker.counts.underWay,
    },
    {
      name: "delivery_under_way_max",
      help: "How many of them may be",
      label: "kind",
      read: () => worker.counts.underWayMax,
    },
    {
      name: "outbound_connections",
      help: "Connections to destinations that are open, those of them that are idle, and attempts that wait for one",
      label: "state",
      read: () => ({ ...client.stats }),
    },
    ...figuresOfPools(watched.store.pools),
    ...figuresOfQueue(watched.store.upkeepPool, limits),
    ...(otlp
      ? [{ name: "spans", help: "Spans by outcome", label: "outcome", grows: true, read: () => otlp.counts }]
      : []),
  ];
}

function figuresOfPools(pools: ReadonlyMap<string, Pool>): Figure[] {
  const each = (name: string, help: string, figure: (pool: Pool) => number): Figure => ({
    name,
    help,
    label: "pool",
    read: () => mapped(Object.fromEntries(pools), figure),
  });
  return [
    each("pool_connections", "Open connections to PostgreSQL", (pool) => pool.totalCount),
    each("pool_connections_max", "Connections to PostgreSQL that may be open", (pool) => pool.options.max),
    each("pool_idle_connections", "Open connections to PostgreSQL that nobody uses", (pool) => pool.idleCount),
    each("pool_waiting", "Statements that wait for a connection", (pool) => pool.waitingCount),
  ];
}

/** What all replicas owe together. However often it is asked for, the store is asked now and then only. */
function figuresOfQueue(pool: Pool, limits: Limits): Figure[] {
  const figures = remember(limits.metricsStoreIntervalMs, () => queueFigures(pool, limits.queueCountMax));
  return [
    {
      name: "queue_deliveries",
      help: "Deliveries that are owed and not under way, in all replicas",
      label: "state",
      read: async () => {
        const { due, waiting, laned, held } = await figures();
        return { due, waiting, laned, held };
      },
    },
    {
      name: "queue_oldest_due_seconds",
      help: "How long the first of the deliveries that are due has been so",
      read: async () => (await figures()).oldestDueSeconds,
    },
    {
      name: "circuits",
      help: "Destinations that are left alone because they fail, in all replicas",
      label: "state",
      read: async () => (await figures()).circuits,
    },
  ];
}

function mapped<Value>(record: Readonly<Record<string, Value>>, figure: (value: Value) => number) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, figure(value)]));
}
