/**
 * Shutting a busy table for a moment. Whoever comes after a lock that waits, waits too; so it waits for a few
 * milliseconds only, gives up, and tries again. Its wait ends long before PostgreSQL looks for deadlocks (1 s): a
 * statement of the hot path never loses to it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientBase } from "pg";

/** Longest wait for each lock, longest statement while it is held, and the rest between tries, milliseconds. */
const LOCK_TIMEOUT_MS = 50;
const STATEMENT_TIMEOUT_MS = 500;
const REST_MS = 200;
const TRIES_MAX = 10;

/** Lock not available, query canceled (by the time-outs above), deadlock detected. */
const BUSY = /^(55P03|57014|40P01)$/;

/**
 * Runs `work` in one transaction that holds the table and its partitions against everyone; undefined if the table
 * was too busy each time. Other failures reject.
 */
export async function shutBriefly<Result>(
  client: ClientBase,
  table: string,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let turn = 1; ; turn++) {
    try {
      await client.query("begin");
      await client.query(
        `set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
      );
      await client.query(`lock table only ${table} in access exclusive mode`);
      const result = await work();
      await client.query("commit");
      return result;
    } catch (error) {
      await client.query("rollback");
      if (!BUSY.test((error as { code?: string }).code ?? "")) throw error;
      if (turn === TRIES_MAX) return undefined;
      await sleep(REST_MS);
    }
  }
}
