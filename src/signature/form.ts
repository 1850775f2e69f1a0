/**
 * URL-encoded forms, read strictly and in linear time. Not URLSearchParams, which is lenient and takes minutes over a
 * body of millions of fields.
 */
import { isUtf8 } from "node:buffer";
import type { HeaderLookup } from "./request.ts";

/** Most fields of a form of which each counts. */
export const FORM_FIELDS_MAX = 1_000;

export function isForm(header: HeaderLookup): boolean {
  return /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i.test(header("content-type") ?? "");
}

/** A field named `payload`, any letter of the name escaped or not; the value, if any, is group 1. */
const PAYLOAD_FIELD =
  /(?<![^&])(?:p|%70)(?:a|%61)(?:y|%79)(?:l|%6[Cc])(?:o|%6[Ff])(?:a|%61)(?:d|%64)(?:=([^&]*))?(?![^&])/g;

/** The form's only `payload`, decoded: undefined if there are several, or an escape is broken or no UTF-8. */
export function payloadField(form: string): string | undefined {
  const [field, second] = form.matchAll(PAYLOAD_FIELD);
  return field === undefined || second !== undefined ? undefined : decode(field[1] ?? "");
}

/**
 * The fields of a form, decoded, in the order of their names, equal names in the order of their values, each pair once;
 * undefined if there are more than FORM_FIELDS_MAX, or the bytes or an escape are no UTF-8.
 */
export function sortedFields(body: Buffer): readonly (readonly [name: string, value: string])[] | undefined {
  if (!isUtf8(body)) return undefined;
  const pieces = body.toString("utf8").split("&", FORM_FIELDS_MAX + 1);
  if (pieces.length > FORM_FIELDS_MAX) return undefined;
  const fields = new Map<string, Set<string>>();
  for (const piece of pieces) {
    if (piece === "") continue;
    const at = piece.indexOf("=");
    const name = decode(at < 0 ? piece : piece.slice(0, at));
    const value = at < 0 ? "" : decode(piece.slice(at + 1));
    if (name === undefined || value === undefined) return undefined;
    fields.set(name, (fields.get(name) ?? new Set()).add(value));
  }
  const names = [...fields.keys()].sort();
  return names.flatMap((name) => [...(fields.get(name) ?? [])].sort().map((value) => [name, value] as const));
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}
