/** Opens PostgreSQL, the embedded one or DATABASE_URL's, brings its schema up to date, and closes it again. */
import { lookup } from "node:dns/promises";
import type { Pool } from "pg";
import { ConfigError } from "../config.ts";
import type { Logger } from "../observe/logger.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded/embedded-postgres.ts";
import { migrate, schemaIsCurrent } from "./migrate.ts";
import { onBehalfOfAll } from "./on-behalf.ts";
import { createOrm, type Orm } from "./orm.ts";
import type { PartitionPlan } from "./partitions.ts";
import { createPool, type PoolName, type StoreConnection } from "./pool.ts";

/** Where PostgreSQL listens unless its URL says otherwise. */
const POSTGRES_PORT = 5432;

export interface StoreOptions {
  /** A PostgreSQL URL; undefined for the embedded server. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly logger: Logger;
  readonly hotConnectionsMax: number;
  readonly ormConnectionsMax: number;
  readonly lookupConnectionsMax: number;
  readonly statementTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly partitions: PartitionPlan;
}

export interface Store {
  readonly pool: Pool;
  /** Looks webhooks up by their ids, and nothing else. */
  readonly webhookLookups: Pool;
  /** Looks API keys up, and nothing else. */
  readonly keyLookups: Pool;
  /** Writes traces of refused receives, and nothing else. */
  readonly traces: Pool;
  /** Looks for what filters of lists match, and nothing else. */
  readonly scans: Pool;
  /** For work behind the scenes. */
  readonly upkeepPool: Pool;
  readonly orm: Orm;
  /** Every pool, by what it is for; the orm's from its first connection on. */
  readonly pools: ReadonlyMap<PoolName, Pool>;
  /** Names and addresses of a database that is reached over TCP; deliveries must never go there. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  /** Names of the migrations that this opening applied. */
  readonly applied: readonly string[];
  /** Whether the database answers and its schema is the one that this code needs. */
  check(): Promise<boolean>;
  /** May be called twice. */
  close(): Promise<void>;
}

export async function openStore(options: StoreOptions): Promise<Store> {
  const { databaseUrl, dataDir, logger } = options;
  const log = (level: "info" | "warn" | "error", message: string, fields: object = {}) =>
    logger[level](fields, message);
  const embedded = databaseUrl === undefined ? await startEmbeddedPostgres({ dataDir, log }) : undefined;
  try {
    return await connect(databaseUrl ?? requireConnection(embedded), embedded, options);
  } catch (error) {
    await embedded?.stop();
    const problem =
      databaseUrl === undefined ? undefined : databaseProblem(error as { code?: string; message: string });
    throw problem === undefined ? error : new ConfigError(problem);
  }
}

/** In one line what keeps DATABASE_URL from being used; undefined if the fault is ours. */
function databaseProblem({ code = "", message }: { code?: string; message: string }): string | undefined {
  if (code === "42501") {
    return `DATABASE_URL: the role may not create tables (${message}); grant it CREATE on the schema, or make it the database's owner`;
  }
  // Network, authentication and resource classes, and an unknown database.
  const reachable = !/^(E[A-Z]+|08\w{3}|28\w{3}|3D000|53\w{3}|57P0\d)$/.test(code) && !/timeout/i.test(message);
  return reachable ? undefined : `DATABASE_URL cannot be used: ${message || code}`;
}

async function connect(
  target: StoreConnection["target"],
  embedded: EmbeddedPostgres | undefined,
  options: StoreOptions,
): Promise<Store> {
  const { logger } = options;
  const connection: StoreConnection = { ...options, target };
  const applied = await migrate(connection, { now: Date.now(), partitions: options.partitions });
  if (applied.length > 0) logger.info({ migrations: applied }, "migrations applied");
  const onDrop = (error: Error) => logger.warn({ err: error }, "a database connection was lost");
  const pool = createPool(connection, "hot", onDrop);
  const webhookLookups = createPool(connection, "webhook-lookup", onDrop);
  const keyLookups = createPool(connection, "key-lookup", onDrop);
  const traces = createPool(connection, "trace", onDrop);
  const scans = createPool(connection, "scan", onDrop);
  const upkeepPool = createPool(connection, "upkeep", onDrop);
  const pools = new Map<PoolName, Pool>([
    ["hot", pool],
    ["webhook-lookup", webhookLookups],
    ["key-lookup", keyLookups],
    ["trace", traces],
    ["scan", scans],
    ["upkeep", upkeepPool],
  ]);
  const orm = await createOrm(connection, (ormPool) => pools.set("orm", ormPool));
  let closed: Promise<void> | undefined;
  const close = async () => {
    await orm.close(true);
    await Promise.all([pool, webhookLookups, keyLookups, traces, scans, upkeepPool].map((one) => one.end()));
    await embedded?.stop();
  };
  return {
    pool,
    webhookLookups,
    keyLookups,
    traces,
    scans,
    upkeepPool,
    orm,
    pools,
    endpoints: typeof target === "string" ? await endpointsOf(target) : [{ address: target.host, port: target.port }],
    applied,
    check: () => onBehalfOfAll(() => schemaIsCurrent((sql) => pool.query(sql))),
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

function requireConnection(embedded: EmbeddedPostgres | undefined): EmbeddedPostgres["connection"] {
  if (!embedded) throw new Error("neither DATABASE_URL nor an embedded server");
  return embedded.connection;
}

async function endpointsOf(databaseUrl: string): Promise<Store["endpoints"]> {
  const url = URL.parse(databaseUrl);
  if (!url?.hostname) return [];
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const resolved = await lookup(name, { all: true }).catch(() => []);
  return [name, ...resolved.map(({ address }) => address)].map((address) => ({
    address,
    port: Number(url.port || POSTGRES_PORT),
  }));
}
