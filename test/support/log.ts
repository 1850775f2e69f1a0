/** A logger that remembers what a service said went wrong. */
import { type Logger, pino } from "pino";
import { errorSummary } from "../../src/observe/logger.ts";

export interface Log {
  readonly logger: Logger;
  /** Every line of level `error` and above. */
  readonly errors: readonly string[];
}

export function rememberErrors(): Log {
  const errors: string[] = [];
  const stream = { write: (line: string) => errors.push(line) };
  return { logger: pino({ level: "error", serializers: { err: errorSummary } }, stream), errors };
}
