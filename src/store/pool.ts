/** Connections to PostgreSQL: how to reach it, and the pools of the hand-written statements. */
import { Pool, type PoolConfig } from "pg";
import { endWithCalls } from "./end-with-calls.ts";

/** Where PostgreSQL is and how many connections may be used. Times in milliseconds. */
export interface StoreConnection {
  /** A URL, or the parts of one (a host that starts with "/" is a socket directory). */
  readonly target: string | { host: string; port: number; user: string; password: string; database: string };
  readonly hotConnectionsMax: number;
  readonly ormConnectionsMax: number;
  /** Of each pool of look-ups. */
  readonly lookupConnectionsMax: number;
  readonly statementTimeoutMs: number;
  readonly connectTimeoutMs: number;
}

/** How much longer than the server we wait for a statement, milliseconds. */
const QUERY_SLACK_MS = 5_000;

/** What each pool is for, as pg_stat_activity shows it. */
export type PoolName = "hot" | "orm" | "webhook-lookup" | "key-lookup";

export function poolOptions(connection: StoreConnection, name: PoolName): PoolConfig {
  const { hotConnectionsMax, ormConnectionsMax, lookupConnectionsMax } = connection;
  return {
    ...(typeof connection.target === "string" ? { connectionString: connection.target } : connection.target),
    max: name === "hot" ? hotConnectionsMax : name === "orm" ? ormConnectionsMax : lookupConnectionsMax,
    application_name: `alumia-${name}`,
    connectionTimeoutMillis: connection.connectTimeoutMs,
    statement_timeout: connection.statementTimeoutMs,
    idle_in_transaction_session_timeout: connection.statementTimeoutMs,
    // The server cancels first; this is for one that no longer answers at all.
    query_timeout: connection.statementTimeoutMs + QUERY_SLACK_MS,
    keepAlive: true,
  };
}

/**
 * A pool of hand-written statements. What anybody can cause without proof of who they are has pools of its own, so that
 * a flood of it waits by itself. A connection that the server drops is only logged: its query fails itself.
 */
export function createPool(
  connection: StoreConnection,
  name: Exclude<PoolName, "orm">,
  onDrop: (error: Error) => void,
): Pool {
  const pool = new Pool({
    ...poolOptions(connection, name),
    // A plan made while a table is small must not scan it once it is large: keep the planner on the indexes.
    options: "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off",
  });
  endWithCalls(pool, connection.connectTimeoutMs);
  pool.on("error", onDrop);
  pool.on("connect", (client) => client.on("error", onDrop));
  return pool;
}
