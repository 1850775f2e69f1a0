/**
 * Key pairs of the asymmetric signature of Standard Webhooks 1.0.0 (`v1a`, ed25519 of RFC 8032), as texts: `whsk_` and
 * base64 of the seed and the public key, which stays here; `whpk_` and base64 of the public key, for consumers.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";

const SECRET_PREFIX = "whsk_";
/** The prefix and base64 of 64 bytes. */
const SECRET = /^whsk_([A-Za-z0-9+/]{86}==)$/;
const PUBLIC_PREFIX = "whpk_";
const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
/** What comes before the seed in PKCS #8 (RFC 8410 §7). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** A new key pair's secret text. */
export function generateSigningKey(): string {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-SEED_BYTES);
  return `${SECRET_PREFIX}${Buffer.concat([seed, rawPublicKey(publicKey)]).toString("base64")}`;
}

/** The key that signs. Throws RangeError, which quotes nothing, unless the text is `whsk_` and base64 of 64 bytes. */
export function prepareSigningKey(text: string): KeyObject {
  const [, base64] = SECRET.exec(text) ?? [];
  if (base64 === undefined) throw new RangeError(`the signing key must be ${SECRET_PREFIX} and base64 of 64 bytes`);
  const key = Buffer.concat([PKCS8_HEAD, Buffer.from(base64, "base64").subarray(0, SEED_BYTES)]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

/** The public key of a key that signs, as consumers take it. */
export function publicKeyText(signingKey: KeyObject): string {
  return `${PUBLIC_PREFIX}${rawPublicKey(createPublicKey(signingKey)).toString("base64")}`;
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" }).subarray(-PUBLIC_KEY_BYTES);
}
