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

/** Where a request keeps its parsed body, so that verifying and identifying share one parse. */
const PARSED = Symbol("parsed body");
type Parsed = InboundRequest & { [PARSED]?: { readonly value: unknown } };

/** The value at `path` of the JSON body (or of the JSON in a form's `payload`); undefined where there is none, or no JSON. Array members go by index. */
export function bodyField(request: InboundRequest, path: readonly string[]): unknown {
  return valueAt(bodyJson(request), path);
}

/** The values at a path in which a step `*` takes every member of a list; undefined stands for one that is not there. */
export function bodyFields(request: InboundRequest, path: readonly string[]): readonly unknown[] {
  const values: unknown[] = [];
  collectValues(bodyJson(request), path, 0, values);
  return values;
}

/** The request with one member of a list in its body in place of the whole. */
export function memberRequest(request: InboundRequest, member: unknown): InboundRequest {
  const { header, body, method, url, target } = request;
  return { header, body, method, url, target, [PARSED]: { value: member } } as Parsed;
}

function collectValues(root: unknown, path: readonly string[], from: number, values: unknown[]): void {
  const star = path.indexOf("*", from);
  const value = valueAt(root, path, from, star < 0 ? path.length : star);
  if (star < 0) values.push(value);
  else if (!Array.isArray(value)) values.push(undefined);
  else for (const member of value) collectValues(member, path, star + 1, values);
}

function valueAt(root: unknown, path: readonly string[], from = 0, to = path.length): unknown {
  let value = root;
  for (let index = from; index < to; index++) {
    const step = path[index] ?? "";
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  return value;
}

function bodyJson(request: Parsed): unknown {
  request[PARSED] ??= { value: parseBody(request) };
  return request[PARSED].value;
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
