/** The template of what a scheme signs: parsed at start-up, filled in per request. */
import { FORM_FIELDS_MAX, isForm, sortedFields } from "./form.ts";
import { bodyField, type InboundRequest } from "./request.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Longest header value that is taken into signed content, characters. */
export const SIGNED_HEADER_CHARS_MAX = 1_000;

/** One piece of a template. `until` is the literal that ends a value. */
export type Chunk =
  | { readonly from: "literal"; readonly text: string }
  | { readonly from: "body" | "ts" | "url" | "path" | "method" | "sortedForm" }
  | { readonly from: "header"; readonly name: string; readonly until: string | undefined }
  | { readonly from: "json"; readonly path: readonly string[]; readonly until: string | undefined };

export interface Template {
  readonly chunks: readonly Chunk[];
  readonly usesTimestamp: boolean;
  readonly usesUrl: boolean;
  /** Whether no literal stands between the timestamp and one of its neighbours. */
  readonly timestampTouches: boolean;
}

const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/** Parses a template. Throws TypeError on an unknown variable or an unclosed brace. */
export function parseTemplate(text: string): Template {
  const pieces = text.split(/(\{[^{}]*\})/).filter((piece) => piece !== "");
  const chunks = pieces.map((piece, index): Chunk => {
    if (!piece.startsWith("{")) {
      if (/[{}]/.test(piece)) throw new TypeError(`template ${text}: unclosed brace`);
      return { from: "literal", text: piece };
    }
    const next = pieces[index + 1] ?? "";
    return variable(piece.slice(1, -1), next.startsWith("{") || next === "" ? undefined : next);
  });
  if (text.split("{text:").length > 2) throw new TypeError(`template ${text}: only one field can be {text:…}`);
  const stampAt = chunks.findIndex((chunk) => chunk.from === "ts");
  const isVariable = (index: number) => (chunks[index]?.from ?? "literal") !== "literal";
  return {
    chunks,
    usesTimestamp: stampAt >= 0,
    usesUrl: chunks.some((chunk) => chunk.from === "url"),
    timestampTouches: stampAt >= 0 && (isVariable(stampAt - 1) || isVariable(stampAt + 1)),
  };
}

function variable(name: string, until: string | undefined): Chunk {
  switch (name) {
    case "body":
    case "ts":
    case "url":
    case "path":
    case "method":
    case "sortedForm":
      return { from: name };
  }
  const [from, argument] = splitOnce(name, ":");
  if (from === "header" && argument) return { from, name: argument.toLowerCase(), until };
  if (from === "json" && argument) return { from, path: argument.split("."), until };
  // The one field that may hold the literals around it.
  if (from === "text" && argument) return { from: "json", path: argument.split("."), until: undefined };
  throw new TypeError(`template variable {${name}} is unknown`);
}

/**
 * The signed content as pieces, in order; joining them is left to the hash. The value of a header or field must not
 * contain the literal that follows it, and a header's must be visible ASCII: otherwise bytes could move between it and
 * the next part under one signature (Standard Webhooks, "Signature scheme").
 */
export function fillTemplate(
  { chunks }: Template,
  request: InboundRequest,
  timestamp: string | undefined,
): readonly (string | Buffer)[] | Refusal {
  const parts: (string | Buffer)[] = [];
  let text = "";
  for (const chunk of chunks) {
    const part = fillChunk(chunk, request, timestamp);
    if (typeof part === "string") text += part;
    else if (Buffer.isBuffer(part)) {
      if (text !== "") parts.push(text);
      parts.push(part);
      text = "";
    } else return part;
  }
  if (text !== "") parts.push(text);
  return parts;
}

function fillChunk(chunk: Chunk, request: InboundRequest, timestamp: string | undefined): string | Buffer | Refusal {
  switch (chunk.from) {
    case "literal":
      return chunk.text;
    case "body":
      return request.body;
    case "ts":
      return timestamp ?? refusal("timestamp", "the request carries no timestamp, which the signature covers");
    case "method":
      return request.method.toUpperCase();
    case "url":
      return request.url ?? refusal("missing_field", URL_UNKNOWN);
    case "path":
      return pathPart(request);
    case "header":
      return headerPart(chunk.name, chunk.until, request);
    case "json":
      return jsonPart(chunk.path, chunk.until, request);
    case "sortedForm":
      return sortedForm(request);
  }
}

/** Why a request is refused whose signature covers the URL. */
export const URL_UNKNOWN =
  "the signature covers the URL as the provider knows it: the service needs PUBLIC_URL, a captured request its url";

function headerPart(name: string, until: string | undefined, request: InboundRequest): string | Refusal {
  const value = request.header(name);
  if (value === undefined || value === "") return refusal("missing_field", `header ${name} is missing`);
  if (value.length > SIGNED_HEADER_CHARS_MAX || !VISIBLE_ASCII.test(value)) {
    const form = `1 to ${SIGNED_HEADER_CHARS_MAX} visible ASCII characters`;
    return refusal("malformed_field", `header ${name} must be ${form}`);
  }
  if (until !== undefined && value.includes(until)) {
    return refusal("malformed_field", `header ${name} must not contain "${until}"`);
  }
  return value;
}

/** Path and query, which need no PUBLIC_URL. */
function pathPart({ target, url }: InboundRequest): string | Refusal {
  if (target !== undefined) return target;
  if (url === undefined) return refusal("missing_field", URL_UNKNOWN);
  const parsed = URL.parse(url);
  if (parsed === null) return refusal("malformed_field", "the signature covers the URL, which is not a URL");
  return parsed.pathname + parsed.search;
}

/** Absent and null fields count as empty text; objects are no signed values. */
function jsonPart(path: readonly string[], until: string | undefined, request: InboundRequest): string | Refusal {
  const value = bodyField(request, path);
  const text = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
  if (typeof text !== "string") return "";
  if (until === undefined || !text.includes(until)) return text;
  return refusal("malformed_field", `${path.join(".")} must not contain "${until}"`);
}

/** Names and values of the form, in the order of the names, without separators (Twilio). Any other body is refused. */
function sortedForm(request: InboundRequest): string | Refusal {
  const fields = request.body.length === 0 || isForm(request.header) ? sortedFields(request.body) : undefined;
  if (fields !== undefined) return fields.map(([name, value]) => name + value).join("");
  return refusal(
    "malformed_field",
    `the signature covers a form of at most ${FORM_FIELDS_MAX} fields, which the body is not`,
  );
}

/** The text before and after the first separator; the second is undefined where there is none. */
export function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
