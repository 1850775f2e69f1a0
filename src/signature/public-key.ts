/** Schemes that sign with the sender's private key: Ed25519, ECDSA and RSA. */
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { decodeBase64, textProblem } from "./key.ts";
import type { Method, ParsedKey } from "./method.ts";
import type { PublicKeyAlgorithm, PublicKeyRule, PublicKeyScheme } from "./scheme.ts";
import { compileSigned, judgeSigned, signedMethod } from "./signed.ts";

/** Type of the key, hash and length of the signatures (bytes) of each algorithm. */
const ALGORITHMS = {
  ed25519: { keyType: "ed25519", hash: null, bytesMin: 64, bytesMax: 64 },
  /** DER (RFC 3279) of a signature on P-256, P-384 or P-521. */
  "ecdsa-sha256": { keyType: "ec", hash: "sha256", bytesMin: 8, bytesMax: 141 },
  "rsa-sha1": { keyType: "rsa", hash: "sha1", bytesMin: 128, bytesMax: 1_024 },
  "rsa-sha256": { keyType: "rsa", hash: "sha256", bytesMin: 128, bytesMax: 1_024 },
} as const satisfies Record<PublicKeyAlgorithm, object>;

export function publicKeyMethod(scheme: PublicKeyScheme): Method<KeyObject> {
  const { keyType, hash, bytesMin, bytesMax } = ALGORITHMS[scheme.alg];
  const signed = compileSigned(scheme, { bytesMin, bytesMax, hexCase: "any" });
  const matches = (key: KeyObject, parts: readonly (string | Buffer)[], signature: Buffer) =>
    verify(hash, Buffer.concat(parts.map((part) => Buffer.from(part))), key, signature);
  return {
    ...signedMethod(signed),
    keyKind: `public-key:${scheme.alg}`,
    secretForm: publicKeyForm(scheme.key, keyType),
    readKey: (text) => parsePublicKey(scheme.key, keyType, text),
    judge: (keys, request, context) =>
      judgeSigned(signed, keys, request, context, (key, parts, signatures) =>
        signatures.some((signature) => matches(key, parts, signature)),
      ),
  };
}

/** Reads a public key of that type. PEM may come with its line breaks. */
function parsePublicKey(rule: PublicKeyRule, keyType: string, text: string): ParsedKey<KeyObject> {
  const line = rule.decode === "spki" ? withoutArmor(text) : text;
  const problem = textProblem(line);
  if (problem !== undefined) return { ok: false, problem };
  const rest = (rule.strip ?? []).reduce(
    (left, prefix) => (left.startsWith(prefix) ? left.slice(prefix.length) : left),
    line,
  );
  const key = decodePublicKey(rule.decode, rest);
  return key?.asymmetricKeyType === keyType
    ? { ok: true, key }
    : { ok: false, problem: `must be ${publicKeyForm(rule, keyType)}` };
}

function withoutArmor(text: string): string {
  const body = /^-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/.exec(text)?.[1];
  return body === undefined ? text : body.replaceAll(/\s/g, "");
}

function decodePublicKey(how: PublicKeyRule["decode"], text: string): KeyObject | undefined {
  const bytes = how === "raw-hex" ? decodeHex(text) : decodeBase64(text);
  if (bytes === undefined) return undefined;
  try {
    if (how === "spki") return createPublicKey({ key: bytes, format: "der", type: "spki" });
    return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: bytes.toString("base64url") }, format: "jwk" });
  } catch {
    return undefined;
  }
}

function decodeHex(text: string): Buffer | undefined {
  return /^[0-9a-fA-F]{64}$/.test(text) ? Buffer.from(text, "hex") : undefined;
}

function publicKeyForm({ decode, strip }: PublicKeyRule, keyType: string): string {
  const prefix = strip?.at(-1);
  const suffix = prefix === undefined ? "" : `, with or without ${prefix}`;
  const forms = {
    "raw-hex": "an Ed25519 public key, 64 hexadecimal digits",
    "raw-base64": "an Ed25519 public key, base64 of 32 bytes",
    spki: `a public key (${keyType}), SPKI in base64 or PEM`,
  };
  return `${forms[decode]}${suffix}`;
}
