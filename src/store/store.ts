/** Opens PostgreSQL, the embedded one or DATABASE_URL's, brings its schema up to date, and closes it again. */
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded/embedded-postgres.ts";
import { migrate, schemaIsCurrent } from "./migrate.ts";
import { createOrm, type Orm } from "./orm.ts";
import { createHotPool, type StoreConnection } from "./pool.ts";

export interface StoreOptions {
  /** A PostgreSQL URL; undefined for the embedded server. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly logger: Logger;
  readonly hotConnectionsMax: number;
  readonly ormConnectionsMax: number;
  readonly statementTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly partitionDaysAhead: number;
}

export interface Store {
  readonly pool: Pool;
  readonly orm: Orm;
  /** Address and port of a database that is reached over TCP; deliveries must never go there. */
  readonly endpoint: { readonly address: string; readonly port: number } | undefined;
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
    throw error;
  }
}

async function connect(
  target: StoreConnection["target"],
  embedded: EmbeddedPostgres | undefined,
  options: StoreOptions,
): Promise<Store> {
  const { logger } = options;
  const connection: StoreConnection = { ...options, target };
  const applied = await migrate(connection, { now: Date.now(), partitionDaysAhead: options.partitionDaysAhead });
  if (applied.length > 0) logger.info({ migrations: applied }, "migrations applied");
  const pool = createHotPool(connection, (error) => logger.warn({ err: error }, "a database connection was lost"));
  const orm = await createOrm(connection);
  let closed: Promise<void> | undefined;
  const close = async () => {
    await orm.close(true);
    await pool.end();
    await embedded?.stop();
  };
  return {
    pool,
    orm,
    endpoint: typeof target === "string" ? endpointOf(target) : undefined,
    check: async () => await schemaIsCurrent((sql) => pool.query(sql)),
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

function endpointOf(databaseUrl: string): Store["endpoint"] {
  const url = URL.parse(databaseUrl);
  if (!url?.hostname) return undefined;
  return { address: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 5432) };
}
