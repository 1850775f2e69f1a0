/** What PostgreSQL's refusals mean, and what to do when it refuses a batch. */
import { AppError } from "../errors.ts";

const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
};

/** Deadlock (40P01) or serialization failure (40001): the same batch may succeed at once. */
export const isTransient = (error: unknown): boolean => codeOf(error) === "40P01" || codeOf(error) === "40001";

/** Class 22 (and 54000, a row too large): one row's data is at fault, not the store. */
export const isDataError = (error: unknown): boolean => codeOf(error).startsWith("22") || codeOf(error) === "54000";

/** Failures of the socket, and those that `pg` tells by message alone. */
const SOCKET_CODES =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)$/;
const LOST_CONNECTION = /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered)/;

/**
 * Whether the store cannot be reached or cannot work now: no connection, a session that it ended (FATAL), or classes
 * 08 (connection), 53 (resources, such as a full disk) and 57 (operator, such as a shutdown).
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  const ended = "severity" in error && (error.severity === "FATAL" || error.severity === "PANIC");
  if (ended || /^(08|53|57)/.test(code) || SOCKET_CODES.test(code)) return true;
  return code === "" && LOST_CONNECTION.test(error.message);
}

/** The store could not do it now. The cause is for the log. */
export const unavailable = (cause: unknown): AppError =>
  new AppError("SERVICE_UNAVAILABLE", "the store is unavailable; try again shortly", { cause });

/**
 * Runs a batch: again after a deadlock, up to `retriesMax` times; row by row after a data error, so that one bad row
 * cannot fail its neighbours. Other failures reject with SERVICE_UNAVAILABLE.
 */
export async function runBatch<Item, Result>(
  items: Item[],
  run: (items: Item[]) => Promise<Result[]>,
  retriesMax: number,
): Promise<(Result | Error)[]> {
  for (let retry = 0; ; retry++) {
    try {
      return await run(items);
    } catch (error) {
      if (isTransient(error) && retry < retriesMax) continue;
      if (!isDataError(error)) throw unavailable(error);
      if (items.length === 1)
        return [new AppError("BAD_REQUEST", "the request holds text that cannot be stored", { cause: error })];
      return await runEach(items, run, retriesMax);
    }
  }
}

async function runEach<Item, Result>(
  items: Item[],
  run: (items: Item[]) => Promise<Result[]>,
  retriesMax: number,
): Promise<(Result | Error)[]> {
  const results: (Result | Error)[] = [];
  for (const item of items) results.push(...(await runBatch([item], run, retriesMax)));
  return results;
}
