/** A request as the engine sees it, and its JSON body, parsed when first asked for. */
import { isUtf8 } from "node:buffer";
import { isForm, payloadField } from "./form.ts";

/** A header's value by its lower-case name; repeated headers joined by ", " as node:http does. */
export type HeaderLookup = (lowerCaseName: string) => string | undefined;

export interface InboundRequest {
  readonly header: HeaderLookup;
  /** The exact bytes received. */
  readonly body: Buffer;
  readonly method: string;
  /** The URL as the sender knows it, with its query; undefined where that is not known. */
  readonly url: string | undefined;
  /** The path and query as received; undefined where that is not known. */
  readonly target?: string | undefined;
}

/** Parsed bodies by request object, so that verifying and identifying share one parse. */
const parsedBodies = new WeakMap<InboundRequest, { readonly value: unknown }>();

/** The value at `path` of the JSON body (or of the JSON in a form's `payload`); undefined where there is none, or no JSON. Array members go by index. */
export function bodyField(request: InboundRequest, path: readonly string[]): unknown {
  return valueAt(bodyJson(request), path);
}

/** The values at a path in which a step `*` takes every member of a list; undefined stands for one that is not there. */
export function bodyFields(request: InboundRequest, path: readonly string[]): readonly unknown[] {
  return valuesAt(bodyJson(request), path);
}

/** The request with one member of a list in its body in place of the whole. */
export function memberRequest(request: InboundRequest, member: unknown): InboundRequest {
  const { header, body, method, url, target } = request;
  const scoped = { header, body, method, url, target };
  parsedBodies.set(scoped, { value: member });
  return scoped;
}

function valuesAt(value: unknown, path: readonly string[]): readonly unknown[] {
  const star = path.indexOf("*");
  if (star < 0) return [valueAt(value, path)];
  const list = valueAt(value, path.slice(0, star));
  return Array.isArray(list) ? list.flatMap((member) => valuesAt(member, path.slice(star + 1))) : [undefined];
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
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
  if (value !== undefined || !isForm(request.header)) return value;
  const payload = payloadField(text);
  return payload === undefined ? undefined : parseJson(payload);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
