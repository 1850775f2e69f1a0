/** What schemes share that sign a content: where signatures and time stand, what is signed, and the order of checks. */
import type { Draft, IndexedKey, JudgeContext, Method } from "./method.ts";
import { SigningError } from "./method.ts";
import { type CompiledPlace, compilePlace } from "./place.ts";
import { bodyField, type InboundRequest, memberRequest } from "./request.ts";
import type { HmacScheme, PublicKeyScheme } from "./scheme.ts";
import { type CompiledSignature, compileSignature, readSignatures, type SignatureFormat } from "./signature-list.ts";
import { fillTemplate, parseTemplate, type Template } from "./template.ts";
import {
  type CompiledTimestamp,
  checkTimestamp,
  stampPattern,
  timestampText,
  withoutTimestamp,
  writeTimestamp,
} from "./timestamp.ts";
import { urlSpellings } from "./url-spellings.ts";
import { isRefusal, type Refusal, refusal } from "./verdict.ts";
import { withField } from "./with-field.ts";

/** Most members of a list that bear a signature each. */
export const SIGNED_MEMBERS_MAX = 100;

export interface CompiledSigned {
  readonly name: string;
  readonly signature: CompiledSignature;
  readonly content: Template;
  readonly timestamp: CompiledTimestamp | undefined;
  readonly urls: NonNullable<HmacScheme["urls"]>;
  /** Path of the list whose members are signed one by one. */
  readonly each: readonly string[] | undefined;
}

/** Throws TypeError on a scheme that makes no sense. */
export function compileSigned(
  scheme: HmacScheme | PublicKeyScheme,
  format: Omit<SignatureFormat, "encoding">,
): CompiledSigned {
  const { name, sig, ts, enc = "hex", urls = "exact" } = scheme;
  const content = parseTemplate(scheme.content ?? "{body}");
  if (content.usesTimestamp && ts === undefined) throw new TypeError(`scheme ${name}: {ts} needs a timestamp`);
  if (ts?.from === "sig" && sig.kv === undefined) throw new TypeError(`scheme ${name}: ts.from sig needs sig.kv`);
  return {
    name,
    signature: compileSignature(scheme, { ...format, encoding: enc }),
    content,
    timestamp: ts && {
      place: ts.from === "sig" ? { from: "sig", name: ts.name } : compilePlace({ from: ts.from, name: ts.name }),
      unit: ts.unit,
      pastSecondsMax: ts.tol,
      futureSecondsMax: ts.future,
      numberOnly: ts.json === "number",
      pattern: ts.from === "body" ? stampPattern(ts.name.split(".")) : undefined,
      fixedLength: content.timestampTouches,
    },
    urls,
    each: scheme.each?.split("."),
  };
}

/** The members of `Method` that do not depend on the kind of key. */
export function signedMethod(
  signed: CompiledSigned,
): Pick<Method<never>, "places" | "needsUrl" | "bodyTimestamp" | "signedContent"> {
  const { timestamp, content, each, signature } = signed;
  return {
    places: each === undefined ? signature.places : signature.places.map((place) => memberPlace(each, place)),
    needsUrl: content.usesUrl,
    ...(timestamp?.place.from === "body" && { bodyTimestamp: { path: timestamp.place.path, unit: timestamp.unit } }),
    signedContent: (request) => signedContent(signed, request),
  };
}

function memberPlace(each: readonly string[], place: CompiledPlace): CompiledPlace {
  const path = [...each, "*", ...(place.from === "body" ? place.path : [])];
  return { from: "body", name: path.join("."), path };
}

/** Whether one of the signatures is that of the content under the key. */
export type Matcher<Key> = (key: Key, parts: readonly (string | Buffer)[], signatures: readonly Buffer[]) => boolean;

/** The index of the secret that matched, or why none did. */
export function judgeSigned<Key>(
  signed: CompiledSigned,
  keys: readonly IndexedKey<Key>[],
  request: InboundRequest,
  context: JudgeContext,
  matches: Matcher<Key>,
): number | Refusal {
  if (signed.each === undefined) return judgeOne(signed, keys, request, context, matches);
  const members = bodyField(request, signed.each);
  const name = signed.each.join(".");
  if (!Array.isArray(members) || members.length === 0 || members.length > SIGNED_MEMBERS_MAX) {
    return refusal("malformed_field", `${name} must be a list of 1 to ${SIGNED_MEMBERS_MAX}`);
  }
  let first: number | undefined;
  for (const member of members) {
    const outcome = judgeOne(signed, keys, memberRequest(request, member), context, matches);
    if (typeof outcome !== "number") return outcome;
    first ??= outcome;
  }
  return first ?? refusal("missing_signature", `${name} is empty`);
}

/** A timestamp in the body is judged last, once the body is known to be genuine. */
function judgeOne<Key>(
  signed: CompiledSigned,
  keys: readonly IndexedKey<Key>[],
  request: InboundRequest,
  { nowMs }: JudgeContext,
  matches: Matcher<Key>,
): number | Refusal {
  const { timestamp: rule, content } = signed;
  const list = readSignatures(signed.signature, request, rule);
  if (isRefusal(list)) return list;
  const text = rule && timestampText(rule, request, list.timestamp);
  const inBody = rule?.place.from === "body";
  const late = rule && !inBody ? checkTimestamp(rule, text, nowMs) : undefined;
  if (late !== undefined) return late;
  for (const url of content.usesUrl ? urlSpellings(signed.urls, request.url) : [request.url]) {
    const parts = fillTemplate(content, url === request.url ? request : { ...request, url }, text);
    if (isRefusal(parts)) return parts;
    const found = keys.find(({ key }) => matches(key, parts, list.signatures));
    if (found !== undefined) return (rule && inBody ? checkTimestamp(rule, text, nowMs) : undefined) ?? found.index;
  }
  return noMatch(keys.length);
}

export function noMatch(secretCount: number): Refusal {
  const secrets = secretCount === 1 ? "the active secret" : `any of the ${secretCount} active secrets`;
  return refusal(
    "signature",
    `no signature matches under ${secrets}: another secret, or content changed on the way (the exact bytes count)`,
  );
}

function signedContent(signed: CompiledSigned, request: InboundRequest): readonly (string | Buffer)[] {
  const { timestamp: rule } = signed;
  if (rule?.pattern !== undefined) return [withoutTimestamp(rule.pattern, request.body)];
  const list = readSignatures(signed.signature, request, rule);
  const text = rule && timestampText(rule, request, isRefusal(list) ? undefined : list.timestamp);
  const parts = fillTemplate(signed.content, request, text);
  return isRefusal(parts) ? [request.body] : parts;
}

/** Completes a draft with time and signature. Throws SigningError where a signed part is missing. */
export function signDraft(
  signed: CompiledSigned,
  draft: Draft,
  digest: (parts: readonly (string | Buffer)[]) => Buffer,
): void {
  const { timestamp: rule, signature, content } = signed;
  const stamp = rule && writeTimestamp(rule.unit, draft.nowMs);
  if (rule?.place.from === "header" && stamp !== undefined) draft.headers.set(rule.place.name, stamp);
  const request = draftRequest(draft);
  const members: unknown = signed.each && bodyField(request, signed.each);
  const subject =
    signed.each === undefined ? request : memberRequest(request, Array.isArray(members) ? members[0] : {});
  const parts = fillTemplate(content, subject, stamp);
  if (isRefusal(parts)) throw new SigningError(parts.reason);
  const written = writeSignature(signed, digest(parts).toString(signature.format.encoding), stamp);
  const [place] = signature.places;
  if (place.from === "header") draft.headers.set(place.name, written);
  else setInBody(draft, [...(signed.each ? [...signed.each, "0"] : []), ...place.path], written);
}

export function draftRequest({ headers, body, method, url, target }: Draft): InboundRequest {
  return { header: (name) => headers.get(name), body, method, url, target };
}

/** Puts a value into the draft's JSON body. Throws SigningError where there is no object to hold it. */
export function setInBody(draft: Draft, path: readonly string[], value: string): void {
  const body = bodyField(draftRequest(draft), []);
  if (typeof body !== "object" || body === null)
    throw new SigningError(`the payload must be an object with ${path.join(".")}`);
  draft.body = Buffer.from(JSON.stringify(withField(body, path, value)));
}

function writeSignature({ signature, timestamp }: CompiledSigned, digest: string, stamp: string | undefined): string {
  const { kv, key, item, prefix } = signature;
  const signed = kv === undefined ? `${prefix}${digest}` : `${key}${kv}${prefix}${digest}`;
  if (timestamp?.place.from !== "sig") return signed;
  return `${timestamp.place.name}${kv}${stamp}${item}${signed}`;
}
