/** A secret's text → keys of HMAC. The keys are KeyObjects, which no logger and no inspector prints. */
import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import type { ParsedKey } from "./method.ts";
import type { KeyRule, SecretPart } from "./scheme.ts";

/** Longest text of a secret, characters. */
export const SECRET_CHARS_MAX = 4_096;
/** Bytes of a secret that we make ourselves. */
export const GENERATED_SECRET_BYTES = 32;

/** A new secret: `whsec_` and base64 of 32 random bytes (Standard Webhooks, "Secret serialization"). */
export function generateSecret(): string {
  return `whsec_${randomBytes(GENERATED_SECRET_BYTES).toString("base64")}`;
}

/** A new secret's text that the rule takes: in our usual form, if that is of use. */
export function generateFor(rule: KeyRule): string {
  const text = generateSecret();
  if (parseKey(rule, text).ok) return text;
  return randomBytes(GENERATED_SECRET_BYTES).toString(rule.decode === "hex" ? "hex" : "base64");
}

/** Decodes a secret's text as `rule` says: a key of each `key` part. */
export function parseKeys(rule: KeyRule, text: string): ParsedKey<readonly [KeyObject, ...KeyObject[]]> {
  const problem = textProblem(text);
  if (problem !== undefined) return { ok: false, problem };
  const texts = keyTexts(rule, text);
  const [first, ...others] = (texts ?? []).flatMap((part) => decodeKey(rule, part) ?? []);
  if (first === undefined || texts?.length !== others.length + 1) {
    return { ok: false, problem: `must be ${keyForm(rule)}` };
  }
  return { ok: true, key: [first, ...others] };
}

/** Decodes a secret's text that is one key. */
export function parseKey(rule: KeyRule, text: string): ParsedKey<KeyObject> {
  const parsed = parseKeys(rule, text);
  return parsed.ok ? { ok: true, key: parsed.key[0] } : parsed;
}

/** The part of a secret's text that has this use and keys nothing; undefined where there is none. */
export function secretPart(rule: KeyRule, text: string, use: Exclude<SecretPart["use"], "key">): string | undefined {
  const index = rule.parts?.findIndex((part) => part.use === use) ?? -1;
  return index < 0 ? undefined : splitParts(rule.parts ?? [], text)?.[index];
}

/** What is wrong with a text, whatever it is to key; undefined if nothing. */
export function textProblem(text: string): string | undefined {
  if (text === "") return "must not be empty";
  if (text.length > SECRET_CHARS_MAX) return `must be at most ${SECRET_CHARS_MAX} characters`;
  if (text !== text.trim()) return "must not begin or end with white space";
  // A lone surrogate has no UTF-8 form of its own, so that two texts would make one key.
  if (!text.isWellFormed() || /\p{Cc}/u.test(text)) return "must not contain control characters or broken Unicode";
  return undefined;
}

function keyTexts({ parts }: KeyRule, text: string): readonly string[] | undefined {
  if (parts === undefined) return [text];
  return splitParts(parts, text)?.filter((_, index) => parts[index]?.use === "key");
}

/** The parts that are there, the last with whatever colons are left; undefined if one is empty or missing. */
function splitParts(parts: readonly SecretPart[], text: string): readonly string[] | undefined {
  const pieces = text.split(":");
  const last = pieces.slice(parts.length - 1).join(":");
  const found = pieces.length < parts.length ? pieces : [...pieces.slice(0, parts.length - 1), last];
  const complete = found.every((piece) => piece !== "") && parts.slice(found.length).every((part) => part.optional);
  return complete ? found : undefined;
}

function decodeKey(rule: KeyRule, text: string): KeyObject | undefined {
  let rest = text;
  if (rule.prefix !== undefined) {
    if (!rest.startsWith(rule.prefix)) return rule.orText && createSecretKey(rest, "utf8");
    rest = rest.slice(rule.prefix.length);
  }
  for (const prefix of rule.strip ?? []) {
    if (rest.startsWith(prefix)) rest = rest.slice(prefix.length);
  }
  const bytes = decode(rule.decode, rest);
  const fits =
    bytes !== undefined && bytes.length >= (rule.bytesMin ?? 1) && bytes.length <= (rule.bytesMax ?? SECRET_CHARS_MAX);
  return fits ? createSecretKey(bytes) : undefined;
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
export function decodeBase64(text: string): Buffer | undefined {
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
  const otherwise = rule.orText ? ", or any other text" : "";
  const key = `${prefix}${decoded} of ${rule.bytesMin ?? 1} to ${rule.bytesMax ?? SECRET_CHARS_MAX} bytes${suffix}${otherwise}`;
  return rule.parts === undefined ? key : `${partsForm(rule.parts)}, each key ${key}`;
}

/** All parts of a secret's text, in words. */
export const wholeForm = ({ parts }: KeyRule): string => (parts ?? []).map(({ name }) => `<${name}>`).join(":");

/** The parts in words: `<app secret>, or <app secret>:<verify token>`. */
function partsForm(parts: readonly SecretPart[]): string {
  const names = parts.map((part) => `<${part.name}>`);
  const required = parts.findIndex((part) => part.optional);
  const lengths = required < 0 ? [parts.length] : [required, parts.length];
  return lengths.map((length) => names.slice(0, length).join(":")).join(", or ");
}
