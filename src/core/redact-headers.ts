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

/**
 * The headers with the values of credentials replaced; `further` names (lower case) those in which the webhook's source
 * shows its secret. Text that PostgreSQL cannot hold (NUL) is taken out.
 */
export function redactHeaders(headers: HeaderList, further: readonly string[] = []): HeaderList {
  return headers.map(([name, value]) => {
    const isCredential = CREDENTIALS.has(name.toLowerCase()) || further.includes(name.toLowerCase());
    return [name, isCredential ? REDACTED : value.replaceAll("\0", "")];
  });
}
