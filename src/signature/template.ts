/** The template of what a scheme signs: parsed at start-up, filled in per request. */
import { bodyField, type InboundRequest } from "./request.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Longest header value that is taken into signed content, characters. */
export const SIGNED_HEADER_CHARS_MAX = 1_000;

/** One piece of a template. `until` is the literal that ends a header's value. */
export type Chunk =
  | { readonly from: "literal"; readonly text: string }
  | { readonly from: "body" | "ts" | "url" | "path" | "method" }
  | { readonly from: "header"; readonly name: string; readonly until: string | undefined }
  | { readonly from: "json"; readonly path: readonly string[] };

const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/** Parses a template. Throws TypeError on an unknown variable or an unclosed brace: presets are our own data. */
export function parseTemplate(text: string): readonly Chunk[] {
  const pieces = text.split(/(\{[^{}]*\})/).filter((piece) => piece !== "");
  return pieces.map((piece, index): Chunk => {
    if (!piece.startsWith("{")) {
      if (/[{}]/.test(piece)) throw new TypeError(`template ${text}: unclosed brace`);
      return { from: "literal", text: piece };
    }
    const next = pieces[index + 1];
    return variable(piece.slice(1, -1), next?.startsWith("{") ? undefined : next);
  });
}

function variable(name: string, until: string | undefined): Chunk {
  switch (name) {
    case "body":
    case "ts":
    case "url":
    case "path":
    case "method":
      return { from: name };
  }
  const [from, argument] = splitOnce(name, ":");
  if (from === "header" && argument) return { from, name: argument.toLowerCase(), until };
  if (from === "json" && argument) return { from, path: argument.split(".") };
  throw new TypeError(`template variable {${name}} is unknown`);
}

/**
 * The signed content as pieces, in order; joining them is left to the hash. A header's value must be visible
 * ASCII without the literal that follows it: otherwise bytes could move between it and the next part under one
 * signature (Standard Webhooks, "Signature scheme").
 */
export function fillTemplate(
  chunks: readonly Chunk[],
  request: InboundRequest,
  timestamp: string | undefined,
): readonly (string | Buffer)[] | Refusal {
  const parts: (string | Buffer)[] = [];
  for (const chunk of chunks) {
    const part = fillChunk(chunk, request, timestamp);
    if (typeof part !== "string" && !Buffer.isBuffer(part)) return part;
    parts.push(part);
  }
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
    case "path":
      return urlPart(chunk.from, request.url);
    case "header":
      return headerPart(chunk.name, chunk.until, request);
    case "json":
      return jsonText(bodyField(request, chunk.path));
  }
}

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

/** `path` is the URL's path with its query. */
function urlPart(part: "url" | "path", url: string | undefined): string | Refusal {
  if (url === undefined) return refusal("missing_field", "the signature covers the public URL, which is not known");
  if (part === "url") return url;
  const parsed = URL.parse(url);
  if (parsed === null) return refusal("malformed_field", "the signature covers the public URL, which is not a URL");
  return parsed.pathname + parsed.search;
}

/** Absent and null fields count as empty text; objects are no signed values. */
function jsonText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** The text before and after the first separator; the second is undefined where there is none. */
export function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
