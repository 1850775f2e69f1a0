/** Structured logs. Secrets, keys, authorization headers and signatures have no field here and are redacted if they get one. */
import { destination, type Logger, pino } from "pino";
import { LIMITS } from "../config.ts";

export type { Logger } from "pino";

const REDACTED = ["authorization", "secret", "forwardSecret", "signature", "key", "password"];

/** JSON lines on standard error, so that standard output stays for what people asked for. */
export function createLogger(level: string): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorSummary },
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
    },
    standardError(),
  );
}

/**
 * Standard error, written to in the background, so that a slow reader of the log never stops the service. What waits
 * for it is bounded: further lines are dropped, and their number told as soon as there is room.
 */
function standardError() {
  const stream = destination({ fd: 2, sync: false, maxLength: LIMITS.logBytesMax });
  let dropped = 0;
  stream.on("drop", () => {
    dropped += 1;
  });
  stream.on("drain", () => {
    if (dropped === 0) return;
    const line = { level: "warn", time: new Date().toISOString(), lines: dropped, msg: "log lines were dropped" };
    dropped = 0;
    stream.write(`${JSON.stringify(line)}\n`);
  });
  return stream;
}

/**
 * What is logged of an error: never its other properties, which may hold a connection or a request. Errors with a
 * code are faults of the world around us and need no stack.
 */
export function errorSummary(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code } = error as { code?: unknown };
  const cause = error.cause === undefined ? {} : { cause: errorSummary(error.cause) };
  const place = code === undefined ? { stack: error.stack } : { code };
  return { type: error.name, message: error.message, ...place, ...cause };
}
