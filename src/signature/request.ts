/** A request as the engine sees it, and its JSON body, parsed when first asked for. */
import { isUtf8 } from "node:buffer";

/** A header's value by its lower-case name; repeated headers joined by ", " as node:http does. */
export type HeaderLookup = (lowerCaseName: string) => string | undefined;

export interface InboundRequest {
  readonly header: HeaderLookup;
  /** The exact bytes received. */
  readonly body: Buffer;
  readonly method: string;
  /** The URL as the sender knows it; undefined where that is not known. */
  readonly url: string | undefined;
}

/** Parsed bodies by request object, so that verifying and identifying share one parse. */
const parsedBodies = new WeakMap<InboundRequest, { readonly value: unknown }>();

/** The value at `path` of the JSON body (or of the JSON in a form's `payload`); undefined where there is none, or no JSON. Array members go by index. */
export function bodyField(request: InboundRequest, path: readonly string[]): unknown {
  let value = bodyJson(request);
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  return value;
}

function bodyJson(request: InboundRequest): unknown {
  let parsed = parsedBodies.get(request);
  if (parsed === undefined) {
    parsed = { value: parseBody(request) };
    parsedBodies.set(request, parsed);
  }
  return parsed.value;
}

/**
 * The body as JSON; of a form, the JSON in its field `payload` (GitHub, Slack). Only one such field counts: of several
 * it would be anybody's guess which one the receiver's code reads.
 */
function parseBody(request: InboundRequest): unknown {
  // Bytes that are not UTF-8 are no JSON (RFC 8259, 8.1): decoding them loosely could make two ids equal.
  if (!isUtf8(request.body)) return undefined;
  const text = request.body.toString("utf8");
  const value = parseJson(text);
  if (value !== undefined || !isForm(request)) return value;
  const payload = formPayload(text);
  return payload === undefined ? undefined : parseJson(payload);
}

function isForm(request: InboundRequest): boolean {
  return /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i.test(request.header("content-type") ?? "");
}

/** A field named `payload`, any letter of the name escaped or not; the value, if any, is group 1. */
const PAYLOAD_FIELD =
  /(?<![^&])(?:p|%70)(?:a|%61)(?:y|%79)(?:l|%6[Cc])(?:o|%6[Ff])(?:a|%61)(?:d|%64)(?:=([^&]*))?(?![^&])/g;

/**
 * The form's only `payload`, decoded strictly: undefined if an escape is broken or no UTF-8. Not URLSearchParams, which
 * is lenient and takes minutes over a body of millions of fields.
 */
function formPayload(form: string): string | undefined {
  const [field, second] = form.matchAll(PAYLOAD_FIELD);
  if (field === undefined || second !== undefined) return undefined;
  try {
    return decodeURIComponent((field[1] ?? "").replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
