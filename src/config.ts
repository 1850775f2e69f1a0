/**
 * Environment variables → one frozen Config. The only reader of process.env; every limit stands here, with its
 * unit in its name. A wrong value throws a ConfigError whose one line names the variable and what it takes.
 */
import { resolve } from "node:path";
import { DELIVERY_LIMITS } from "./config-delivery.ts";
import { BULK_LIMITS, SCAN_LIMITS } from "./config-history.ts";
import { OBSERVING_LIMITS, type ObservingConfig, observingConfig } from "./config-observing.ts";
import { HANDSHAKE_LIMITS, LINEAR_LIMITS, TRACE_LIMITS } from "./config-receiving.ts";
import {
  ConfigError,
  list,
  oneOf,
  parseApiKey,
  parseCidrs,
  parseDatabaseUrl,
  parseInteger,
  parseKey,
  parseOrigin,
  parseOrigins,
  parseProxy,
  parseScheduleSetting,
  parseStopAfter,
  parseTlsFiles,
  requireKey,
  type TlsFiles,
} from "./config-values.ts";
import type { EgressProxy } from "./outbound/dial.ts";

export { API_KEY_PATTERN, addressRanges, ConfigError, type TlsFiles } from "./config-values.ts";

/** Bounds that no environment variable changes. */
export const LIMITS = Object.freeze({
  ...OBSERVING_LIMITS,
  /** Largest JSON body of an API call that carries no webhook payload, bytes. */
  apiBodyBytesMax: 16 * 1024 * 1024,
  /** Deepest nesting of JSON that the API parses. */
  jsonDepthMax: 100,
  /** Smallest RPC message that is compressed for a client that takes it, bytes. */
  compressBytesMin: 1_024,
  /** Calls under way of one organization, and of one client address with keys that are nobody's. */
  callsPerCallerMax: 1_024,
  /** Calls that begin in one turn of the event loop; calls that wait for theirs, of which one caller has half at most. */
  callsPerTurnMax: 64,
  callsWaitingMax: 32_768,
  /** API keys of which it is remembered whose they were when they were last looked up. */
  keyOwnersMax: 10_000,
  /** Longest deadline that a caller may ask for, milliseconds. */
  timeoutMsMax: 600_000,
  /** Largest body that the single event carries inline, bytes; stock gRPC clients refuse messages over 4 MiB. */
  inlineBodyBytesMax: 3 * 1024 * 1024,
  /** Size of one piece of a streamed body, bytes. */
  bodyChunkBytes: 512 * 1024,
  /** How long a browser may remember what an origin may do, seconds. */
  corsMaxAgeSeconds: 7_200,
  /** Health watches and reflection streams open at once: all, and of one client. */
  endlessStreamsMax: 1_024,
  endlessStreamsPerClientMax: 64,
  /** How long one may last, milliseconds; then it ends, and its client opens another. */
  endlessStreamMsMax: 30 * 60_000,
  /** How often the health is looked at while somebody watches it, milliseconds. */
  healthWatchIntervalMs: 1_000,
  /** Questions of one reflection stream, and the size of one, bytes. */
  reflectionRequestsMax: 1_000,
  introspectionRequestBytesMax: 4_096,
  /** Receive batches: rows and bytes of one, batches in flight, rows and bytes waiting before 503. */
  receiveBatchRowsMax: 256,
  receiveBatchBytesMax: 8 * 1024 * 1024,
  receiveBatchesInFlightMax: 2,
  receiveQueueRowsMax: 8_192,
  receiveQueueBytesMax: 128 * 1024 * 1024,
  /** Bytes of request bodies in memory, of all requests that have not been answered; share that one client may have. */
  bodyBytesInMemoryMax: 256 * 1024 * 1024,
  bodyClientShare: 0.5,
  /** Receives under way for one client address; verified events of one webhook that wait for their commit. */
  receivesPerClientMax: 1_024,
  receivesPerWebhookMax: 2_048,
  ...TRACE_LIMITS,
  ...LINEAR_LIMITS,
  ...HANDSHAKE_LIMITS,
  /** How often a receive whose webhook changed under it is verified anew before 503. */
  receiveStaleRetriesMax: 5,
  /** How often a batch is tried again after a deadlock or a serialization failure. */
  batchRetriesMax: 5,
  /** Webhooks kept in memory with their keys. */
  webhookCacheEntriesMax: 10_000,
  /** Look-ups of webhooks, and of API keys: what one query answers, and what may wait for one before 503. */
  lookupBatchMax: 500,
  lookupsWaitingMax: 65_536,
  /** Least time from the beginning of one look-up query of webhooks to that of the next, milliseconds. */
  webhookLookupIntervalMs: 10,
  /** Keys and certificates of vendors: kept in memory, needed by one request, size of one answer (bytes) and its deadline. */
  publishedKeysMax: 1_000,
  publishedKeysPerRequestMax: 8,
  publishedKeyBytesMax: 128 * 1024,
  publishedKeyTimeoutMs: 5_000,
  /** How long one counts, when it is asked for again, and how long an unknown one is not, milliseconds. */
  publishedKeyTtlMs: 6 * 3_600_000,
  publishedKeyRefreshMs: 3_600_000,
  publishedKeyUnknownMs: 300_000,
  /** Fetches of them: under way at once, and caused in a minute by one webhook, and by one organization. */
  publishedKeyFetchesMax: 8,
  publishedKeyFetchesPerWebhookMinuteMax: 10,
  publishedKeyFetchesPerOrganizationMinuteMax: 60,
  ...DELIVERY_LIMITS,
  ...SCAN_LIMITS,
  ...BULK_LIMITS,
  /** Connections of the pools: hot statements, entity reads. */
  hotPoolConnectionsMax: 8,
  ormPoolConnectionsMax: 8,
  /** Connections of each pool that strangers can put to work: look-ups of webhooks, look-ups of API keys. */
  lookupPoolConnectionsMax: 2,
  /** Longest that one statement on behalf of a caller may run, milliseconds. */
  statementTimeoutMs: 30_000,
  /** How long a statement may wait for a connection, milliseconds. */
  connectTimeoutMs: 5_000,
  /** Headers of a request: bytes of all, and number. */
  headerBytesMax: 32 * 1024,
  headersCountMax: 100,
  /** HTTP/1: header deadline, whole-request deadline, keep-alive, TCP keep-alive, milliseconds. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 65_000,
  tcpKeepAliveMs: 60_000,
  /** HTTP/1 requests of one connection that wait for the one before; with more the connection ends. */
  pipelinedRequestsMax: 100,
  /** How long a new connection may take until its protocol is known, TLS handshake included, milliseconds. */
  prefaceTimeoutMs: 10_000,
  /** How often the files of the certificate are looked at, milliseconds. */
  tlsReloadIntervalMs: 5_000,
  /** How often the bounds of time are looked at, milliseconds. */
  sweepIntervalMs: 1_000,
  /** Request bodies: time before their rate counts, least rate on average (bytes a second), whole body, milliseconds. */
  bodyGraceMs: 5_000,
  bodyBytesPerSecondMin: 1_024,
  bodyTimeoutMs: 60_000,
  /** HTTP/2: streams of one connection, memory of one session (MiB), settings entries. */
  http2StreamsMax: 256,
  http2SessionMemoryMiB: 32,
  http2SettingsMax: 32,
  /** HTTP/2: how long a session may have no stream; when a silent peer is asked for a sign, and how long for, milliseconds. */
  http2IdleTimeoutMs: 300_000,
  http2PingIntervalMs: 30_000,
  http2PingTimeoutMs: 20_000,
  /** HTTP/2: PING, SETTINGS and streams that end in a reset, of one session: at once, and a second in the long run. */
  http2PingBurst: 500,
  http2PingsPerSecond: 200,
  http2SettingsBurst: 100,
  http2SettingsPerSecond: 10,
  http2ResetBurst: 300,
  http2ResetsPerSecond: 50,
  /** Answers: how long nothing may be taken, milliseconds, longer by what waits to be taken at this rate, bytes a second. */
  answerStallMs: 20_000,
  answerBytesPerSecondMin: 16 * 1024,
  /** Open connections of the listener: all (then the longest idle goes), of one peer, and of those that said nothing. */
  connectionsMax: 10_000,
  connectionsPerPeerMax: 2_000,
  silentConnectionsMax: 1_000,
  /** Held deliveries that one background step releases. */
  releaseBatchRows: 1_000,
  /** Rows that one background step purges. */
  purgeBatchRows: 1_000,
  /** How long after a delete late rows are looked for, milliseconds. */
  purgeLateMs: 10 * 60_000,
  purgeRecheckMs: 60_000,
  /** Days for which partitions are made ahead of time. */
  partitionDaysAhead: 7,
  /** Partitions of a table that RETENTION_DAYS spans: with more of them each statement costs noticeably more. */
  partitionsKeptMax: 30,
  /** Rows that one step of the retention looks at or deletes. */
  retentionBatchRows: 2_000,
  /** Rows that one statement of the doctor looks at. */
  doctorBatchRows: 2_000,
  /** A lease that ends later than this from now is nobody's, milliseconds: twice the longest DELIVERY_LEASE_MS. */
  doctorLeaseMsMax: 2 * 3_600_000,
  /** How long something may be due before the doctor looks twice, and the time between: longer than a background turn. */
  doctorOverdueMs: 5 * 60_000,
  doctorRecheckMs: 65_000,
});

/** The bounds by name; tests put other numbers in place of some. */
export type Limits = Readonly<Record<keyof typeof LIMITS, number>>;

/** Everything the service is told from outside. */
export interface Config extends ObservingConfig {
  readonly host: string;
  readonly port: number;
  /** Paths of the PEM files with which the port speaks TLS; cleartext without. */
  readonly tls: TlsFiles | undefined;
  readonly publicUrl: string | undefined;
  /** Origins whose pages may call the API; only "*" for every one. */
  readonly corsOrigins: readonly string[];
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly masterKey: Buffer | undefined;
  readonly masterKeysOld: readonly Buffer[];
  readonly bootstrapApiKey: string | undefined;
  readonly production: boolean;
  readonly maxPayloadBytes: number;
  readonly allowedPrivateCidrs: readonly string[];
  readonly trustedProxyCidrs: readonly string[];
  /** The HTTP proxy through which all outbound requests go. */
  readonly egressProxy: EgressProxy | undefined;
  readonly deliveryScheduleMs: readonly number[];
  readonly deliveryTimeoutMs: number;
  readonly deliveryLeaseMs: number;
  readonly deliveryConcurrency: number;
  /** How long a circuit is open at first; 0: none opens. */
  readonly circuitOpenMs: number;
  /** How long every attempt of a webhook may fail before forwarding is stopped, milliseconds; null: for ever. */
  readonly forwardingStopAfterMs: number | null;
  readonly dedupeWindowSeconds: number;
  readonly retentionDays: number;
  readonly shutdownGraceMs: number;
  readonly logLevel: string;
}

export const DEFAULT_SCHEDULE = "0s,5s,5m,30m,2h,5h,10h,14h,20h,24h";
const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];
const LOOPBACK_CIDRS = ["127.0.0.0/8", "::1/128"];

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the environment. `dev` opens loopback to deliveries. Throws ConfigError. */
export function loadConfig(env: Env, options: { dev?: boolean } = {}): Config {
  const text = (name: string) => {
    const value = env[name]?.trim();
    return value === undefined || value === "" ? undefined : value;
  };
  const integer = (name: string, fallback: number, min: number, max: number) =>
    parseInteger(name, text(name), fallback, min, max);
  const timeoutMs = integer("DELIVERY_TIMEOUT_MS", 15_000, 100, 120_000);
  const leaseMs = integer("DELIVERY_LEASE_MS", 60_000, 1_000, 3_600_000);
  const config: Config = {
    host: text("HOST") ?? "127.0.0.1",
    port: integer("PORT", 8080, 0, 65_535),
    tls: parseTlsFiles(text("TLS_CERT"), text("TLS_KEY")),
    publicUrl: parseOrigin("PUBLIC_URL", text("PUBLIC_URL")),
    corsOrigins: parseOrigins("CORS_ORIGINS", text("CORS_ORIGINS")),
    databaseUrl: parseDatabaseUrl(text("DATABASE_URL")),
    dataDir: resolve(text("DATA_DIR") ?? "data"),
    masterKey: parseKey("MASTER_KEY", text("MASTER_KEY")),
    masterKeysOld: list(text("MASTER_KEYS_OLD")).map((item) => requireKey("MASTER_KEYS_OLD", item)),
    bootstrapApiKey: parseApiKey(text("BOOTSTRAP_API_KEY")),
    production: !options.dev,
    maxPayloadBytes: integer("MAX_PAYLOAD_BYTES", 5 * 1024 * 1024, 1, 64 * 1024 * 1024),
    allowedPrivateCidrs: [
      ...parseCidrs("ALLOWED_PRIVATE_CIDRS", text("ALLOWED_PRIVATE_CIDRS")),
      ...(options.dev ? LOOPBACK_CIDRS : []),
    ],
    trustedProxyCidrs: parseCidrs("TRUSTED_PROXY_CIDRS", text("TRUSTED_PROXY_CIDRS")),
    egressProxy: parseProxy("EGRESS_PROXY", text("EGRESS_PROXY")),
    deliveryScheduleMs: parseScheduleSetting(text("DELIVERY_SCHEDULE") ?? DEFAULT_SCHEDULE),
    deliveryTimeoutMs: timeoutMs,
    deliveryLeaseMs: leaseMs,
    deliveryConcurrency: integer("DELIVERY_CONCURRENCY", 128, 1, 2_000),
    circuitOpenMs: integer("CIRCUIT_OPEN_MS", 30_000, 0, 3_600_000),
    forwardingStopAfterMs: parseStopAfter(text("FORWARDING_STOP_AFTER") ?? "5d"),
    dedupeWindowSeconds: integer("DEDUPE_WINDOW_SECONDS", 3 * 86_400, 1, 90 * 86_400),
    retentionDays: integer("RETENTION_DAYS", 30, 1, 3_650),
    shutdownGraceMs: integer("SHUTDOWN_GRACE_MS", 20_000, 0, 600_000),
    logLevel: oneOf("LOG_LEVEL", text("LOG_LEVEL") ?? "info", LOG_LEVELS),
    ...observingConfig(text),
  };
  if (config.databaseUrl !== undefined && config.masterKey === undefined) {
    throw new ConfigError(
      "MASTER_KEY is required with DATABASE_URL: base64 of 32 random bytes, the same for every replica (make one with: openssl rand -base64 32)",
    );
  }
  return Object.freeze(config);
}

/** How history is cut into partitions: daily for a month, wider ones for longer. */
export function partitionPlan({ retentionDays }: Pick<Config, "retentionDays">): {
  readonly daysAhead: number;
  readonly widthDays: number;
} {
  return { daysAhead: LIMITS.partitionDaysAhead, widthDays: Math.ceil(retentionDays / LIMITS.partitionsKeptMax) };
}
