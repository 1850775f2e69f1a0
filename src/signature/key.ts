/** A secret's text → key. The key is a KeyObject, which no logger and no inspector prints. */
import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import type { KeyRule } from "./scheme.ts";

/** Longest text of a secret, characters. */
export const SECRET_CHARS_MAX = 4_096;
/** Bytes of a secret that we make ourselves. */
export const GENERATED_SECRET_BYTES = 32;

/** A key, or what is wrong with the text: a phrase to stand after "the secret" or "secret:", which never quotes it. */
export type ParsedKey =
  | { readonly ok: true; readonly key: KeyObject }
  | { readonly ok: false; readonly problem: string };

/** A new secret: `whsec_` and base64 of 32 random bytes (Standard Webhooks, "Secret serialization"). */
export function generateSecret(): string {
  return `whsec_${randomBytes(GENERATED_SECRET_BYTES).toString("base64")}`;
}

/** Decodes a secret's text as `rule` says. */
export function parseKey(rule: KeyRule, text: string): ParsedKey {
  const problem = textProblem(text);
  if (problem !== undefined) return { ok: false, problem };
  let rest = text;
  if (rule.prefix !== undefined) {
    if (!rest.startsWith(rule.prefix)) return { ok: false, problem: `must be ${keyForm(rule)}` };
    rest = rest.slice(rule.prefix.length);
  }
  for (const prefix of rule.strip ?? []) {
    if (rest.startsWith(prefix)) rest = rest.slice(prefix.length);
  }
  const bytes = decode(rule.decode, rest);
  if (
    bytes === undefined ||
    bytes.length < (rule.bytesMin ?? 1) ||
    bytes.length > (rule.bytesMax ?? SECRET_CHARS_MAX)
  ) {
    return { ok: false, problem: `must be ${keyForm(rule)}` };
  }
  return { ok: true, key: createSecretKey(bytes) };
}

function textProblem(text: string): string | undefined {
  if (text === "") return "must not be empty";
  if (text.length > SECRET_CHARS_MAX) return `must be at most ${SECRET_CHARS_MAX} characters`;
  if (text !== text.trim()) return "must not begin or end with white space";
  // A lone surrogate has no UTF-8 form of its own, so that two texts would make one key.
  if (!text.isWellFormed() || /\p{Cc}/u.test(text)) return "must not contain control characters or broken Unicode";
  return undefined;
}

function decode(how: KeyRule["decode"], text: string): Buffer | undefined {
  switch (how) {
    case "utf8":
      return Buffer.from(text, "utf8");
    case "utf8-nfkd":
      return Buffer.from(text.normalize("NFKD"), "utf8");
    case "hex":
      return /^(?:[0-9a-fA-F]{2})+$/.test(text) ? Buffer.from(text, "hex") : undefined;
    case "base64":
      return decodeBase64(text);
  }
}

/** Standard base64 (RFC 4648, 4), padded or not, with no stray bits at the end. */
function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  const canonical = bytes.toString("base64");
  return text === canonical || text === canonical.replace(/=+$/, "") ? bytes : undefined;
}

/** The rule in words: what a secret's text must be. */
export function keyForm(rule: KeyRule): string {
  const decoded = { utf8: "text", "utf8-nfkd": "text", hex: "hexadecimal digits", base64: "base64" }[rule.decode];
  const prefix = rule.prefix === undefined ? "" : `${rule.prefix} followed by `;
  // The last prefix stands next to the key itself and is the one that people meet.
  const optional = rule.strip?.at(-1);
  const suffix = optional === undefined ? "" : `, with or without ${optional}`;
  return `${prefix}${decoded} of ${rule.bytesMin ?? 1} to ${rule.bytesMax ?? SECRET_CHARS_MAX} bytes${suffix}`;
}
