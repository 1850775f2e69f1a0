/** Headers that a webhook adds to its deliveries: which names and values it may have. Pure. */
import { invalidField } from "../errors.ts";
import type { HeaderSettings } from "./destination-credentials.ts";
import { REDACTED } from "./redact-headers.ts";

/** Headers of one webhook, characters of a name and of a value, bytes of all names and values. */
export const CUSTOM_HEADERS_MAX = 20;
export const HEADER_NAME_CHARS_MAX = 100;
export const HEADER_VALUE_CHARS_MAX = 4_096;
export const CUSTOM_HEADER_BYTES_MAX = 8_192;

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Visible ASCII with blanks between; a value has one spelling on the wire. */
const VALUE = /^[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?$/;

/** Names of one hop, of the message itself, or of ours. */
const REFUSED = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["http2-settings", "proxy-authorization", "proxy-authenticate", "host", "expect", "accept-encoding"],
  ...["max-forwards", "date", "traceparent", "tracestate"],
]);
const REFUSED_PREFIXES = ["content-", "webhook-", "original-webhook-", "alumia-"];

/** What is wrong with a header's name; the message completes the field's name. Null: nothing. */
export function headerNameProblem(name: string): string | null {
  if (name.length > HEADER_NAME_CHARS_MAX) return `must be at most ${HEADER_NAME_CHARS_MAX} characters`;
  if (!NAME.test(name)) return "must be a header name: letters, digits and !#$%&'*+-.^_`|~";
  const lower = name.toLowerCase();
  if (REFUSED.has(lower) || REFUSED_PREFIXES.some((prefix) => lower.startsWith(prefix))) {
    return "must not be a header of the connection or the content, nor one that the gateway sets (webhook-*, alumia-*)";
  }
  return null;
}

/** What is wrong with a header's value; the message completes the field's name. Null: nothing. */
export function headerValueProblem(value: string): string | null {
  if (value.length > HEADER_VALUE_CHARS_MAX) return `must be at most ${HEADER_VALUE_CHARS_MAX} characters`;
  if (!VALUE.test(value)) return "must be visible ASCII, with blanks only between other characters";
  return null;
}

/**
 * The headers that a caller asks for; "[redacted]" keeps the value that stands. `usesKept` tells whether one was kept.
 * Throws BAD_REQUEST that names the header.
 */
export function resolveHeaders(
  given: Readonly<Record<string, string>>,
  kept: HeaderSettings,
): { readonly headers: HeaderSettings; readonly usesKept: boolean } {
  const entries = Object.entries(given);
  const field = "forwarding.headers";
  if (entries.length > CUSTOM_HEADERS_MAX) {
    throw invalidField(field, "headers.number", `must be at most ${CUSTOM_HEADERS_MAX} headers`);
  }
  const before = new Map(kept);
  const headers = new Map<string, string>();
  let usesKept = false;
  for (const [name, value] of entries) {
    const place = `${field}[${JSON.stringify(name.slice(0, HEADER_NAME_CHARS_MAX))}]`;
    const nameProblem = headerNameProblem(name);
    if (nameProblem !== null) throw invalidField(place, "headers.name", nameProblem);
    const lower = name.toLowerCase();
    if (headers.has(lower)) throw invalidField(place, "headers.twice", "is given twice; names have no case");
    if (value === REDACTED) usesKept = true;
    headers.set(lower, value === REDACTED ? keptValue(place, before.get(lower)) : checkedValue(place, value));
  }
  const list = [...headers];
  const bytes = list.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (bytes > CUSTOM_HEADER_BYTES_MAX) {
    throw invalidField(
      field,
      "headers.size",
      `must be at most ${CUSTOM_HEADER_BYTES_MAX} bytes, names and values together`,
    );
  }
  return { headers: list, usesKept };
}

function keptValue(place: string, value: string | undefined): string {
  if (value === undefined)
    throw invalidField(place, "redacted", `has no value to keep; send one instead of "${REDACTED}"`);
  return value;
}

function checkedValue(place: string, value: string): string {
  const problem = headerValueProblem(value);
  if (problem !== null) throw invalidField(place, "headers.value", problem);
  return value;
}
