/**
 * The verification engine: one pure call per request. Steps: choose the form, read the signatures, judge the
 * timestamp, fill in what is signed, compare every signature under every active secret. A timestamp in the body
 * is judged last, once the body is known to be genuine.
 */
import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import type { CompiledScheme, CompiledSource } from "./compile.ts";
import { describeMissing, describeUnusableSecrets } from "./explain.ts";
import type { HeaderLookup, InboundRequest } from "./request.ts";
import { hasSignature, readSignatures } from "./signature-list.ts";
import type { PreparedSecrets } from "./source.ts";
import { fillTemplate } from "./template.ts";
import { checkTimestamp, timestampText } from "./timestamp.ts";
import { isRefusal, type Refusal, refusal, type Verdict } from "./verdict.ts";

const NO_BODY = Buffer.alloc(0);

/**
 * Judges a request. `nowMs` is milliseconds since the Unix epoch. Never throws for anything in the request;
 * throws TypeError if the secrets were prepared for another source.
 */
export function verify(
  source: CompiledSource,
  secrets: PreparedSecrets,
  request: InboundRequest,
  nowMs: number,
): Verdict {
  if (secrets.source !== source) throw new TypeError("secrets were prepared for another source");
  const scheme = chooseScheme(source, request);
  if (isRefusal(scheme)) return refused(source.schemes.length === 1 ? source.schemes[0].name : source.name, scheme);
  const keys = secrets.keys[source.schemes.indexOf(scheme)] ?? [];
  const outcome = verifyScheme(source, scheme, keys, request, nowMs);
  return typeof outcome === "number"
    ? { valid: true, scheme: scheme.name, secretIndex: outcome }
    : refused(scheme.name, outcome);
}

/**
 * Why the headers alone refuse a request, in the words of its full verification; undefined if the body must be seen.
 * A source whose signature stands in the body is never refused here.
 */
export function refuseHead(source: CompiledSource, header: HeaderLookup): string | undefined {
  if (source.schemes.some((scheme) => scheme.signature.places.some((place) => place.from === "body"))) return undefined;
  const scheme = chooseScheme(source, { header, body: NO_BODY, method: "POST", url: undefined });
  return isRefusal(scheme) ? scheme.reason : undefined;
}

/** The scheme whose signature the request bears: exactly one of the source's forms. */
export function chooseScheme(source: CompiledSource, request: InboundRequest): CompiledScheme | Refusal {
  const [scheme, second] = source.schemes.filter((candidate) => hasSignature(candidate, request));
  if (scheme === undefined) return refusal("missing_signature", describeMissing(source, request));
  if (second === undefined) return scheme;
  const names = `${scheme.signature.places[0].name} and ${second.signature.places[0].name}`;
  return refusal("ambiguous", `${names} are both present: the sender must use only one of them`);
}

/** The digest of the signed content under one key. */
export function computeDigest(scheme: CompiledScheme, key: KeyObject, parts: readonly (string | Buffer)[]): Buffer {
  const hmac = createHmac(scheme.algorithm, key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** The index of the secret that matched, or why none did. */
function verifyScheme(
  source: CompiledSource,
  scheme: CompiledScheme,
  keys: readonly (KeyObject | null)[],
  request: InboundRequest,
  nowMs: number,
): number | Refusal {
  const list = readSignatures(scheme, request);
  if (isRefusal(list)) return list;
  if (keys.every((key) => key === null)) {
    return refusal("secret", describeUnusableSecrets(source, scheme, keys.length));
  }
  const rule = scheme.timestamp;
  const text = rule && timestampText(rule, request, list.timestamp);
  const judgeTime = () => rule && checkTimestamp(rule, text, nowMs);
  if (rule?.place.from !== "body") {
    const late = judgeTime();
    if (late !== undefined) return late;
  }
  const parts = fillTemplate(scheme.content, request, text);
  if (isRefusal(parts)) return parts;
  const secretIndex = keys.findIndex((key) => key !== null && matches(scheme, key, parts, list.digests));
  if (secretIndex < 0) return refusal("signature", describeMismatch(keys.length));
  return (rule?.place.from === "body" ? judgeTime() : undefined) ?? secretIndex;
}

/** All signatures are compared, so that time does not tell which one matched. */
function matches(
  scheme: CompiledScheme,
  key: KeyObject,
  parts: readonly (string | Buffer)[],
  digests: readonly Buffer[],
): boolean {
  const expected = computeDigest(scheme, key, parts);
  let matched = false;
  for (const digest of digests) matched = timingSafeEqual(digest, expected) || matched;
  return matched;
}

function describeMismatch(secretCount: number): string {
  const secrets = secretCount === 1 ? "the active secret" : `any of the ${secretCount} active secrets`;
  return `no signature matches under ${secrets}: another secret, or content changed on the way (the exact bytes count)`;
}

function refused(scheme: string, { check, reason }: Refusal): Verdict {
  return { valid: false, scheme, check, reason };
}
