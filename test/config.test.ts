/** Environment variables → Config: defaults, every setting's forms, and the one line that a wrong value gets. */
import { describe, expect, test } from "vitest";
import { addressRanges, type Config, ConfigError, loadConfig, partitionPlan } from "../src/config.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");
const API_KEY = `alm_live_${"0123456789abcdef".repeat(2)}`;
const MINUTE_MS = 60_000;

test("defaults", () => {
  const config = loadConfig({});
  expect(config).toEqual({
    host: "127.0.0.1",
    port: 8080,
    tls: undefined,
    publicUrl: undefined,
    corsOrigins: [],
    databaseUrl: undefined,
    dataDir: expect.stringMatching(/[/\\]data$/),
    masterKey: undefined,
    masterKeysOld: [],
    bootstrapApiKey: undefined,
    production: true,
    maxPayloadBytes: 5 * 1024 * 1024,
    allowedPrivateCidrs: [],
    trustedProxyCidrs: [],
    egressProxy: undefined,
    deliveryScheduleMs: [
      0,
      5_000,
      5 * MINUTE_MS,
      30 * MINUTE_MS,
      ...[2, 5, 10, 14, 20, 24].map((h) => h * 60 * MINUTE_MS),
    ],
    deliveryTimeoutMs: 15_000,
    deliveryLeaseMs: 60_000,
    deliveryConcurrency: 128,
    circuitOpenMs: 30_000,
    forwardingStopAfterMs: 5 * 24 * 60 * MINUTE_MS,
    dedupeWindowSeconds: 259_200,
    retentionDays: 30,
    shutdownGraceMs: 20_000,
    logLevel: "info",
    metrics: undefined,
    tracing: undefined,
  } satisfies Config);
  expect(Object.isFrozen(config)).toBe(true);
});

test("dev opens loopback to deliveries, and only that", () => {
  const config = loadConfig({ ALLOWED_PRIVATE_CIDRS: "10.0.0.0/8" }, { dev: true });
  expect(config.production).toBe(false);
  expect(config.allowedPrivateCidrs).toEqual(["10.0.0.0/8", "127.0.0.0/8", "::1/128"]);
  expect({ ...config, production: true, allowedPrivateCidrs: [] }).toEqual(loadConfig({}));
});

const taken: [name: string, value: string, field: keyof Config, expected: unknown][] = [
  ["HOST", "0.0.0.0", "host", "0.0.0.0"],
  ["PORT", "0", "port", 0],
  ["PORT", " 65535 ", "port", 65_535],
  ["PORT", "", "port", 8080],
  ["PUBLIC_URL", "https://hooks.example.com", "publicUrl", "https://hooks.example.com"],
  ["PUBLIC_URL", "HTTPS://Hooks.Example.com:443/", "publicUrl", "https://hooks.example.com"],
  ["PUBLIC_URL", "http://localhost:8080", "publicUrl", "http://localhost:8080"],
  ["CORS_ORIGINS", "*", "corsOrigins", ["*"]],
  [
    "EGRESS_PROXY",
    "http://proxy.internal:3128",
    "egressProxy",
    { secure: false, hostname: "proxy.internal", port: 3128, authorization: undefined },
  ],
  [
    "EGRESS_PROXY",
    "https://name:p%40ss%3A@[fd12::1]/",
    "egressProxy",
    { secure: true, hostname: "fd12::1", port: 443, authorization: `Basic ${btoa("name:p@ss:")}` },
  ],
  [
    "CORS_ORIGINS",
    "https://Dash.example.com:443/, http://localhost:3000",
    "corsOrigins",
    ["https://dash.example.com", "http://localhost:3000"],
  ],
  ["MASTER_KEY", KEY, "masterKey", Buffer.alloc(32, 7)],
  ["MASTER_KEY", KEY.replace("=", ""), "masterKey", Buffer.alloc(32, 7)],
  ["MASTER_KEYS_OLD", `${KEY}, ${OTHER_KEY},`, "masterKeysOld", [Buffer.alloc(32, 7), Buffer.alloc(32, 8)]],
  ["BOOTSTRAP_API_KEY", API_KEY, "bootstrapApiKey", API_KEY],
  ["MAX_PAYLOAD_BYTES", "1", "maxPayloadBytes", 1],
  ["MAX_PAYLOAD_BYTES", "67108864", "maxPayloadBytes", 67_108_864],
  [
    "ALLOWED_PRIVATE_CIDRS",
    "10.0.0.0/8, fd00::/8 ,192.168.1.1",
    "allowedPrivateCidrs",
    ["10.0.0.0/8", "fd00::/8", "192.168.1.1/32"],
  ],
  ["TRUSTED_PROXY_CIDRS", "::1", "trustedProxyCidrs", ["::1/128"]],
  ["DELIVERY_SCHEDULE", "0s, 250ms,1h", "deliveryScheduleMs", [0, 250, 3_600_000]],
  ["DELIVERY_TIMEOUT_MS", "100", "deliveryTimeoutMs", 100],
  ["DELIVERY_LEASE_MS", "1000", "deliveryLeaseMs", 1_000],
  ["DELIVERY_CONCURRENCY", "1", "deliveryConcurrency", 1],
  ["CIRCUIT_OPEN_MS", "0", "circuitOpenMs", 0],
  ["FORWARDING_STOP_AFTER", "1m", "forwardingStopAfterMs", MINUTE_MS],
  ["FORWARDING_STOP_AFTER", "365d", "forwardingStopAfterMs", 365 * 24 * 60 * MINUTE_MS],
  ["FORWARDING_STOP_AFTER", "36h", "forwardingStopAfterMs", 36 * 60 * MINUTE_MS],
  ["FORWARDING_STOP_AFTER", "never", "forwardingStopAfterMs", null],
  ["DEDUPE_WINDOW_SECONDS", "1", "dedupeWindowSeconds", 1],
  ["RETENTION_DAYS", "365", "retentionDays", 365],
  ["SHUTDOWN_GRACE_MS", "0", "shutdownGraceMs", 0],
  ["LOG_LEVEL", "silent", "logLevel", "silent"],
  ["METRICS_PORT", "0", "metrics", { host: "127.0.0.1", port: 0 }],
  ["METRICS_PORT", "", "metrics", undefined],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318", "tracing", { url: "http://otel:4318/v1/traces", ratio: 1 }],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel/in/", "tracing", { url: "https://otel/in/v1/traces", ratio: 1 }],
  ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://otel/t?a=b", "tracing", { url: "https://otel/t?a=b", ratio: 1 }],
];

test.each(taken)("%s=%j", (name, value, field, expected) => {
  expect(loadConfig({ [name]: value })[field]).toEqual(expected);
});

describe("a wrong value is one line that names the variable and what it takes", () => {
  const wholeNumber = (from: number, to: number) => `takes a whole number from ${from} to ${to}, not`;
  const stopAfter = "takes a time such as 30m, 12h or 5d, 365d at most, or never, not";
  const key = "takes base64 of exactly 32 bytes";
  const origin = "takes an origin such as https://hooks.example.com, without a path, not";
  const collector = "takes the URL of a collector such as http://127.0.0.1:4318, without a password in it";
  const cidrs = "takes CIDR ranges separated by commas, such as 10.0.0.0/8, not";
  const refused: [name: string, value: string, takes: string][] = [
    ["PORT", "65536", wholeNumber(0, 65_535)],
    ["PORT", "-1", wholeNumber(0, 65_535)],
    ["PORT", "80.5", wholeNumber(0, 65_535)],
    ["PORT", "0x50", wholeNumber(0, 65_535)],
    ["PORT", "1e3", wholeNumber(0, 65_535)],
    ["PORT", "http", wholeNumber(0, 65_535)],
    ["MAX_PAYLOAD_BYTES", "0", wholeNumber(1, 67_108_864)],
    ["MAX_PAYLOAD_BYTES", "5MiB", wholeNumber(1, 67_108_864)],
    ["MAX_PAYLOAD_BYTES", "67108865", wholeNumber(1, 67_108_864)],
    ["DELIVERY_TIMEOUT_MS", "99", wholeNumber(100, 120_000)],
    ["DELIVERY_LEASE_MS", "999", wholeNumber(1_000, 3_600_000)],
    ["DELIVERY_CONCURRENCY", "0", wholeNumber(1, 2_000)],
    ["CIRCUIT_OPEN_MS", "-1", wholeNumber(0, 3_600_000)],
    ["FORWARDING_STOP_AFTER", "0m", stopAfter],
    ["FORWARDING_STOP_AFTER", "366d", stopAfter],
    ["FORWARDING_STOP_AFTER", "5", stopAfter],
    ["FORWARDING_STOP_AFTER", "Never", stopAfter],
    ["DEDUPE_WINDOW_SECONDS", "0", wholeNumber(1, 7_776_000)],
    ["RETENTION_DAYS", "0", wholeNumber(1, 3_650)],
    ["SHUTDOWN_GRACE_MS", "600001", wholeNumber(0, 600_000)],
    ["PUBLIC_URL", "hooks.example.com", origin],
    ["PUBLIC_URL", "ftp://hooks.example.com", origin],
    ["PUBLIC_URL", "https://hooks.example.com/in", origin],
    ["PUBLIC_URL", "https://hooks.example.com/?a", origin],
    ["PUBLIC_URL", "https://user:password@hooks.example.com", origin],
    ["CORS_ORIGINS", "dash.example.com", origin],
    ["CORS_ORIGINS", "https://*.example.com", origin],
    ["CORS_ORIGINS", "null", origin],
    ["CORS_ORIGINS", "https://dash.example.com,*", "takes origins or * alone, not both"],
    ["DATABASE_URL", "mysql://localhost/x", "takes a PostgreSQL URL such as postgres://"],
    ["DATABASE_URL", "localhost:5432", "takes a PostgreSQL URL such as postgres://"],
    ["MASTER_KEY", "hunter2", key],
    ["MASTER_KEY", Buffer.alloc(31).toString("base64"), key],
    ["MASTER_KEY", Buffer.alloc(33).toString("base64"), key],
    ["MASTER_KEY", `${KEY}${KEY}`, key],
    ["MASTER_KEYS_OLD", `${KEY},hunter2`, key],
    ["BOOTSTRAP_API_KEY", "hunter2", "takes alm_live_ or alm_test_ followed by 32 to 128 hexadecimal digits"],
    [
      "BOOTSTRAP_API_KEY",
      API_KEY.slice(0, -1),
      "takes alm_live_ or alm_test_ followed by 32 to 128 hexadecimal digits",
    ],
    ["BOOTSTRAP_API_KEY", API_KEY.replace("live", "prod"), "takes alm_live_ or alm_test_"],
    ["ALLOWED_PRIVATE_CIDRS", "10.0.0.0/33", cidrs],
    ["ALLOWED_PRIVATE_CIDRS", "10.0.0.0/", cidrs],
    ["ALLOWED_PRIVATE_CIDRS", "10.0.0.0/8/8", cidrs],
    ["ALLOWED_PRIVATE_CIDRS", "10.0.0.0/8 fd00::/8", cidrs],
    ["TRUSTED_PROXY_CIDRS", "localhost", cidrs],
    ["TRUSTED_PROXY_CIDRS", "::1/129", cidrs],
    ["EGRESS_PROXY", "proxy.internal:3128", "takes a proxy's URL such as http://"],
    ["EGRESS_PROXY", "socks5://proxy.internal:1080", "takes a proxy's URL such as http://"],
    ["EGRESS_PROXY", "http://proxy.internal:3128/path", "takes a proxy's URL such as http://"],
    ["EGRESS_PROXY", "http://name:%zz@proxy.internal", "takes a proxy's URL such as http://"],
    ["DELIVERY_SCHEDULE", "soon", "takes delays such as 0s,5s,5m,2h,1d"],
    ["DELIVERY_SCHEDULE", "8d", "takes delays of at most 7d each"],
    ["DELIVERY_SCHEDULE", Array(51).fill("1s").join(), "takes at most 50 delays, not 51"],
    ["LOG_LEVEL", "loud", "takes one of fatal, error, warn, info, debug, trace, silent, not"],
    ["METRICS_PORT", "65536", wholeNumber(0, 65_535)],
    ["METRICS_PORT", "on", wholeNumber(0, 65_535)],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "otel:4318", collector],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://otel:4317", collector],
    ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://user:password@otel/", collector],
    ["OTEL_TRACES_SAMPLER_ARG", "1.5", "takes a share of the events from 0 to 1, not"],
    ["OTEL_TRACES_SAMPLER_ARG", "-0.1", "takes a share of the events from 0 to 1, not"],
    ["OTEL_TRACES_SAMPLER_ARG", "half", "takes a share of the events from 0 to 1, not"],
  ];

  test.each(refused)("%s=%j", (name, value, takes) => {
    const act = () => loadConfig({ [name]: value });
    expect(act).toThrow(ConfigError);
    expect(act).toThrow(`${name} ${takes}`);
    expect(act).not.toThrow(/\n/);
  });

  test.each(["MASTER_KEY", "MASTER_KEYS_OLD", "BOOTSTRAP_API_KEY"])("%s is not quoted", (name) => {
    expect(() => loadConfig({ [name]: "hunter2" })).not.toThrow(/hunter2/);
  });

  test("a password in a URL is not quoted", () => {
    expect(() => loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://user:hunter2@otel" })).not.toThrow(/hunter2/);
    expect(() => loadConfig({ DATABASE_URL: "mysql://user:hunter2@host/x" })).not.toThrow(/hunter2/);
    expect(() => loadConfig({ EGRESS_PROXY: "socks5://user:hunter2@host" })).not.toThrow(/hunter2/);
  });
});

test("DATABASE_URL needs a MASTER_KEY of its own: a generated one would differ between replicas", () => {
  const url = "postgres://user:password@host:5432/database";
  expect(() => loadConfig({ DATABASE_URL: url })).toThrow(/^MASTER_KEY is required with DATABASE_URL/);
  const config = loadConfig({ DATABASE_URL: url, MASTER_KEY: KEY });
  expect(config).toMatchObject({ databaseUrl: url, masterKey: Buffer.alloc(32, 7) });
  expect(loadConfig({ DATABASE_URL: "postgresql://host/x", MASTER_KEY: KEY }).databaseUrl).toBe("postgresql://host/x");
});

test("a certificate and its key go together", () => {
  const tls = { certPath: "/etc/tls/cert.pem", keyPath: "/etc/tls/key.pem" };
  expect(loadConfig({ TLS_CERT: tls.certPath, TLS_KEY: tls.keyPath }).tls).toEqual(tls);
  expect(() => loadConfig({ TLS_CERT: tls.certPath })).toThrow(/^TLS_KEY is required with TLS_CERT/);
  expect(() => loadConfig({ TLS_KEY: tls.keyPath })).toThrow(/^TLS_CERT is required with TLS_KEY/);
});

test.each([
  ["10.1.2.3", "ipv4", true],
  ["11.0.0.1", "ipv4", false],
  ["fd12::1", "ipv6", true],
  ["fe80::1", "ipv6", false],
] as const)("addressRanges: %s (%s) lies within: %s", (address, family, expected) => {
  expect(addressRanges(["10.0.0.0/8", "fd00::/8"]).check(address, family)).toBe(expected);
});

test.each([
  [1, 1],
  [30, 1],
  [31, 2],
  [365, 13],
])("a retention of %i days is cut into partitions of %i", (retentionDays, widthDays) => {
  expect(partitionPlan({ retentionDays })).toEqual({ daysAhead: 7, widthDays });
});

test("where the metrics listen takes a port", () => {
  const metrics = { host: "0.0.0.0", port: 9464 };
  expect(loadConfig({ METRICS_HOST: "0.0.0.0", METRICS_PORT: "9464" }).metrics).toEqual(metrics);
  expect(() => loadConfig({ METRICS_HOST: "0.0.0.0" })).toThrow(/^METRICS_PORT is required with METRICS_HOST/);
});

test("the collector's URL for traces has precedence over that for everything", () => {
  const config = loadConfig({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://all:4318",
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://traces:4318/here",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
  });
  expect(config.tracing).toEqual({ url: "http://traces:4318/here", ratio: 0.25 });
  expect(loadConfig({ OTEL_TRACES_SAMPLER_ARG: "0.25" }).tracing).toBeUndefined();
});
