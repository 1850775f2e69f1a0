/** Compact JSON Web Tokens (RFC 7515, RFC 7519) with the algorithm that the caller pins. */
import { type KeyObject, verify } from "node:crypto";
import { digestOf, hasDigest } from "./hmac.ts";

/** Longest token that is looked at, characters. */
export const JWT_CHARS_MAX = 16_384;

export type JwtAlgorithm = "HS256" | "ES256" | "RS256";

export interface Jwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  /** The bytes that are signed. */
  readonly signed: string;
  readonly signature: Buffer;
}

/** Reads a token strictly, without judging it; undefined where it is none. */
export function readJwt(text: string): Jwt | undefined {
  if (text.length > JWT_CHARS_MAX) return undefined;
  const parts = text.split(".", 4);
  const [header, claims, signature] = parts.map(decodeBase64Url);
  if (parts.length !== 3 || !header || !claims || !signature) return undefined;
  const [head, body] = [parseObject(header), parseObject(claims)];
  return head && body && { header: head, claims: body, signed: `${parts[0]}.${parts[1]}`, signature };
}

/** Whether the token names that algorithm and was signed with it by the key. `crit` is understood by nobody here. */
export function isSignedBy(jwt: Jwt, algorithm: JwtAlgorithm, key: KeyObject): boolean {
  if (jwt.header.alg !== algorithm || jwt.header.crit !== undefined) return false;
  switch (algorithm) {
    case "HS256":
      return jwt.signature.length === 32 && hasDigest([jwt.signature], digestOf("sha256", key, [jwt.signed]));
    case "ES256":
      return verify("sha256", Buffer.from(jwt.signed), { key, dsaEncoding: "ieee-p1363" }, jwt.signature);
    case "RS256":
      return verify("sha256", Buffer.from(jwt.signed), key, jwt.signature);
  }
}

/** A NumericDate claim, seconds; undefined where it is no number. */
export function secondsOf(claim: unknown): number | undefined {
  return typeof claim === "number" && Number.isFinite(claim) ? claim : undefined;
}

/** Unpadded base64url (RFC 7515, 2), exactly one text for some bytes. */
function decodeBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.length > 0 && bytes.toString("base64url") === text ? bytes : undefined;
}

function parseObject(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
