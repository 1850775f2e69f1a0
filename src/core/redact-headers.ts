/**
 * What is kept of headers: a request's with its event or with the trace of its refusal, a response's with its attempt.
 */
import { SIGNATURE_HEADERS } from "../signature/explain.ts";
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

/** Names of headers that hold what proves a sender, or hides something. */
const SECRETIVE = /signature|hmac|digest|token|secret|authori|passw|passcode|credential|cookie|session|api-?key|jwt/;

/**
 * The headers with the values of credentials replaced; `further` names (lower case) those in which the webhook's source
 * shows its secret. Text that PostgreSQL cannot hold (NUL) is taken out.
 */
export function redactHeaders(
  headers: readonly (readonly [name: string, value: string])[],
  further: readonly string[] = [],
): HeaderList {
  return headers.map(([name, value]) => {
    const isCredential = CREDENTIALS.has(name.toLowerCase()) || further.includes(name.toLowerCase());
    return [name, isCredential ? REDACTED : value.replaceAll("\0", "")];
  });
}

/**
 * The headers as a refused request is shown by: what would prove a sender, signatures too, by its length alone. Cut off
 * after `bytesMax` bytes.
 */
export function redactRefused(headers: HeaderList, further: readonly string[], bytesMax: number): HeaderList {
  let left = bytesMax;
  const kept: HeaderList = [];
  for (const [name, value] of redactHeaders(headers, further)) {
    const isSecret = SECRETIVE.test(name.toLowerCase()) || SIGNATURE_HEADERS.includes(name.toLowerCase());
    const text = isSecret && value !== REDACTED ? `[redacted: ${value.length} characters]` : value;
    left -= name.length;
    if (left <= 0) break;
    kept.push([name, text.length <= left ? text : `${text.slice(0, left)}…`]);
    left -= text.length;
  }
  return kept;
}
