/** What of a request's headers is kept with the event. */
import type { HeaderList } from "../store/entities/event.ts";

/** Headers whose whole purpose is to carry a credential. Signatures are kept: consumers verify them again. */
const CREDENTIALS = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "api-key",
  "x-auth-token",
  "x-access-token",
  "x-gitlab-token",
  "x-buildkite-token",
  "x-telegram-bot-api-secret-token",
]);

export const REDACTED = "[redacted]";

/** The headers with the values of credentials replaced. Text that PostgreSQL cannot hold (NUL) is taken out. */
export function redactHeaders(headers: HeaderList): HeaderList {
  return headers.map(([name, value]) => [
    name,
    CREDENTIALS.has(name.toLowerCase()) ? REDACTED : value.replaceAll("\0", ""),
  ]);
}
