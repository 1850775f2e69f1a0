/**
 * Statements end with the call on whose behalf they run (`on-behalf.ts`): when its deadline passes or its client goes
 * away,
 *
 * - a wait for a connection ends, and the connection goes to the next in line;
 * - a statement that is not sent yet is never sent;
 * - a statement that runs is cancelled on the server. Its connection is kept from everybody else until it has ended
 *   and the cancel request has, so that no request can end the statement of another call;
 * - a transaction rolls back. ROLLBACK is always sent, and a COMMIT that is under way comes to its own end: whether a
 *   cancelled write has happened is what its caller cannot know, as with every answer that is lost.
 *
 * The signal belongs to the connection while it is lent, whoever then runs the statement.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseError, type Pool, type PoolClient, type QueryConfig } from "pg";
import { AppError } from "../errors.ts";
import { cancelStatement } from "./cancel-statement.ts";
import { callSignal } from "./on-behalf.ts";

type Query = (statement: string | QueryConfig, values?: unknown[]) => Promise<unknown>;

/** How long a cancelled statement may take to end before it is cancelled again: at first, and at most, milliseconds. */
const REPEAT_MS_MIN = 20;
const REPEAT_MS_MAX = 1_000;

const ROLLBACK = /^rollback\b/i;
const END_OF_TRANSACTION = /^(rollback|commit)\b/i;

const ended = (signal: AbortSignal): AppError =>
  new AppError("CANCELED", "the call has ended", { cause: signal.reason });

/** Makes the statements of a pool end with their calls. `timeoutMs` bounds one cancel request. */
export function endWithCalls(pool: Pool, timeoutMs: number): void {
  const connect = pool.connect.bind(pool) as () => Promise<PoolClient>;
  const connectForCall = () => {
    const signal = callSignal();
    return signal ? lend(connect, signal, timeoutMs) : connect().then(unbound);
  };
  // pg-pool's own `query` takes its connection in the context of whoever gave it back.
  const query: Query = async (statement, values) => {
    const client = await connectForCall();
    try {
      const result = await (client.query as Query)(statement, values);
      client.release();
      return result;
    } catch (error) {
      // What the server did not say itself leaves the connection in doubt.
      client.release(error instanceof DatabaseError || error instanceof AppError ? undefined : true);
      throw error;
    }
  };
  Object.assign(pool, { connect: connectForCall, query });
}

async function lend(connect: () => Promise<PoolClient>, signal: AbortSignal, timeoutMs: number): Promise<PoolClient> {
  if (signal.aborted) throw ended(signal);
  return await new Promise((resolve, reject) => {
    const onAbort = () => reject(ended(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    connect().then((client) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) client.release();
      else resolve(bound(client, signal, timeoutMs));
    }, reject);
  });
}

/** The client as `pg` made it. */
function unbound(client: PoolClient): PoolClient {
  return Object.assign(client, { query: Object.getPrototypeOf(client).query as Query });
}

/** The client with statements that end with the call, until it is lent anew. */
function bound(client: PoolClient, signal: AbortSignal, timeoutMs: number): PoolClient {
  const send = unbound(client).query.bind(client) as Query;
  const query: Query = (statement, values) => {
    const text = typeof statement === "string" ? statement : statement.text;
    if (signal.aborted && !ROLLBACK.test(text)) return Promise.reject(ended(signal));
    const result = send(statement, values);
    return END_OF_TRANSACTION.test(text) ? result : untilEnded(result, client, signal, timeoutMs);
  };
  return Object.assign(client, { query });
}

/** Settles once the statement has ended and nothing can reach its connection any more. */
async function untilEnded<Result>(
  result: Promise<Result>,
  client: PoolClient,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<Result> {
  let cancelled: Promise<void> | undefined;
  const onAbort = () => {
    cancelled = cancelUntilOver(result, client, timeoutMs);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await result;
  } catch (error) {
    throw cancelled ? ended(signal) : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    await cancelled;
  }
}

/** A request that overtakes its statement finds nothing to end: it is repeated until the statement is over. */
async function cancelUntilOver(result: Promise<unknown>, client: PoolClient, timeoutMs: number): Promise<void> {
  let isOver = false;
  const noteOver = () => {
    isOver = true;
  };
  const over = result.then(noteOver, noteOver);
  for (let restMs = REPEAT_MS_MIN; !isOver; restMs = Math.min(2 * restMs, REPEAT_MS_MAX)) {
    await cancelStatement(client, timeoutMs);
    await Promise.race([over, sleep(restMs, undefined, { ref: false })]);
  }
}
