/** Schemes that sign with HMAC (RFC 2104). */
import { createHmac, type KeyObject } from "node:crypto";
import { sameBytes } from "../security/constant-time.ts";
import { generateFor, keyForm, parseKeys } from "./key.ts";
import type { Method } from "./method.ts";
import type { HmacAlgorithm, HmacScheme, KeyRule } from "./scheme.ts";
import { compileSigned, judgeSigned, signDraft, signedMethod } from "./signed.ts";

export const DIGEST_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const satisfies Record<HmacAlgorithm, number>;

export const WHOLE_TEXT: KeyRule = { decode: "utf8" };

export function hmacMethod(scheme: HmacScheme): Method<readonly [KeyObject, ...KeyObject[]]> {
  const { alg = "sha256", key: rule = WHOLE_TEXT, hexCase = "lower" } = scheme;
  const signed = compileSigned(scheme, { bytesMin: DIGEST_BYTES[alg], bytesMax: DIGEST_BYTES[alg], hexCase });
  return {
    ...signedMethod(signed),
    keyKind: "hmac",
    secretForm: keyForm(rule),
    readKey: (text) => parseKeys(rule, text),
    generate: () => generateFor(rule),
    judge: (keys, request, context) =>
      judgeSigned(signed, keys, request, context, (secret, parts, digests) =>
        secret.some((key) => hasDigest(digests, digestOf(alg, key, parts))),
      ),
    sign: ([key], draft) => signDraft(signed, draft, (parts) => digestOf(alg, key, parts)),
  };
}

export function digestOf(algorithm: HmacAlgorithm, key: KeyObject, parts: readonly (string | Buffer)[]): Buffer {
  const hmac = createHmac(algorithm, key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** All are compared, so that time does not tell which one matched. */
export function hasDigest(digests: readonly Buffer[], expected: Buffer): boolean {
  let matched = false;
  for (const digest of digests) matched = sameBytes(digest, expected) || matched;
  return matched;
}
