/** A logger that remembers what a service said went wrong. */
import { type Logger, pino } from "pino";
import { errorSummary } from "../../src/observe/logger.ts";

export interface Log {
  readonly logger: Logger;
  /** Every line of the level and above. */
  readonly errors: readonly string[];
}

export function rememberErrors(level: "error" | "warn" = "error"): Log {
  const { logger, lines } = remember(level);
  return { logger, errors: lines };
}

/** A logger of that level, and its lines. */
export function remember(level: "error" | "warn" | "trace"): {
  readonly logger: Logger;
  readonly lines: readonly string[];
} {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  return { logger: pino({ level, serializers: { err: errorSummary } }, stream), lines };
}
