/** Structured logs. Secrets, keys, authorization headers and signatures have no field here and are redacted if they get one. */
import { destination, type Logger, pino } from "pino";

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
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
    },
    destination({ fd: 2, sync: true }),
  );
}
