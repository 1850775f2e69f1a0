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

/** A plan made while a table is small must not scan it once it is large: keep the planner on the indexes. */
const BY_INDEX = "-c enable_seqscan=off -c jit=off";

/** One plan for all values; a statement that is planned each time has its values in view. */
const ONCE = "-c plan_cache_mode=force_generic_plan";

/** What is to be had in the order of an index is not sorted, however few rows the planner expects. */
const IN_ORDER = "-c enable_sort=off";

const PLANNING: Readonly<Record<Exclude<PoolName, "orm">, string>> = {
  hot: ONCE,
  "webhook-lookup": ONCE,
  "key-lookup": ONCE,
  trace: ONCE,
  scan: IN_ORDER,
  upkeep: "",
};

/** How much longer than the server we wait for a statement, milliseconds. */
const QUERY_SLACK_MS = 5_000;

/** Most connections that work behind the scenes takes: one for each chore, and two more for the doctor's turn and steps. */
const UPKEEP_CONNECTIONS_MAX = 7;

/** Connections that looks through lists take: long ones take half of them at most, and short ones find one. */
export const SCAN_CONNECTIONS_MAX = 4;

/** What each pool is for, as pg_stat_activity shows it. */
export type PoolName = "hot" | "orm" | "webhook-lookup" | "key-lookup" | "trace" | "scan" | "upkeep";

export function poolOptions(connection: StoreConnection, name: PoolName): PoolConfig {
  const connectionsMax: Readonly<Record<PoolName, number>> = {
    hot: connection.hotConnectionsMax,
    orm: connection.ormConnectionsMax,
    "webhook-lookup": connection.lookupConnectionsMax,
    "key-lookup": connection.lookupConnectionsMax,
    // One write at a time.
    trace: 1,
    scan: SCAN_CONNECTIONS_MAX,
    upkeep: UPKEEP_CONNECTIONS_MAX,
  };
  return {
    ...(typeof connection.target === "string" ? { connectionString: connection.target } : connection.target),
    max: connectionsMax[name],
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
 * a flood of it waits by itself; so has work behind the scenes, so that it never takes a connection from the hot
 * statements. A connection that the server drops is only logged: its query fails itself.
 */
export function createPool(
  connection: StoreConnection,
  name: Exclude<PoolName, "orm">,
  onDrop: (error: Error) => void,
): Pool {
  const pool = new Pool({
    ...poolOptions(connection, name),
    options: `${BY_INDEX} ${PLANNING[name]}`,
  });
  endWithCalls(pool, connection.connectTimeoutMs);
  pool.on("error", onDrop);
  pool.on("connect", (client) => client.on("error", onDrop));
  return pool;
}
