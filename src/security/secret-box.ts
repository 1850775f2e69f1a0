/**
 * Secrets at rest. A sealed secret is
 *
 *     version (1) | key id (8) | nonce (12) | AES-256-GCM ciphertext | tag (16)
 *
 * bound to its organization, webhook and purpose, so that a row copied to another tenant does not open. Beside
 * it stands a hash that verification rests on: who can only read the database can neither guess the secret, nor
 * forge the hash of another. Encryption key, hash key and key id are derived from a master key, each under a
 * label of its own (HKDF, RFC 5869); the master key itself encrypts nothing.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { sameBytes } from "./constant-time.ts";

export const MASTER_KEY_BYTES = 32;
/** Longest secret that is sealed, bytes of UTF-8. */
export const PLAINTEXT_BYTES_MAX = 16 * 1024;
/** Most master keys that are kept for reading. */
export const OLD_MASTER_KEYS_MAX = 16;

const VERSION = 1;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;
const SEALED_BYTES_MIN = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;
const CIPHER = "aes-256-gcm";

/**
 * What a secret keys or is: signatures that are received, our own (symmetric, asymmetric), or what the destination
 * wants to see (headers, an authentication, a client certificate).
 */
export type SealedPurpose = "receive" | "forward" | "ed25519" | "headers" | "auth" | "certificate";

/** What a sealed secret is for; it opens for nothing else. */
export interface SecretContext {
  readonly organizationId: string;
  readonly webhookId: string;
  readonly purpose: SealedPurpose;
}

/**
 * Why a sealed secret did not open: `malformed` (not of the form above), `unknown_key` (sealed under a master key
 * that is not configured), `refused` (changed, or of another organization, webhook or purpose).
 */
export type SecretBoxReason = "malformed" | "unknown_key" | "refused";

/** The message contains no secret, no key and no part of the sealed bytes. */
export class SecretBoxError extends Error {
  override readonly name = "SecretBoxError";
  readonly reason: SecretBoxReason;

  constructor(reason: SecretBoxReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface SecretBox {
  /** Encrypts under the master key. Throws RangeError above PLAINTEXT_BYTES_MAX or for text that is no Unicode. */
  seal(plaintext: string, context: SecretContext): Buffer;
  /** Decrypts under the master key or an old one, whichever sealed it. Throws SecretBoxError. */
  open(sealed: Buffer, context: SecretContext): string;
  /** Whether it was sealed under the current master key; if not, sealing it anew lets the old key go. */
  isCurrent(sealed: Buffer): boolean;
  /** HMAC-SHA256 of the text under a key derived from the master key: 32 bytes. */
  hash(plaintext: string): Buffer;
  /** Whether the hash is the text's under the master key or an old one, in constant time. */
  hashMatches(plaintext: string, storedHash: Buffer): boolean;
}

interface DerivedKeys {
  readonly id: Buffer;
  readonly encryption: Buffer;
  readonly hash: Buffer;
}

/** Derives every key once. Throws RangeError unless each master key has 32 bytes and at most 16 are old. */
export function createSecretBox({ master, old }: { master: Buffer; old: readonly Buffer[] }): SecretBox {
  if (old.length > OLD_MASTER_KEYS_MAX) throw new RangeError(`at most ${OLD_MASTER_KEYS_MAX} old master keys are kept`);
  const current = deriveKeys(master);
  const all = [current, ...old.map(deriveKeys)];
  const byId = new Map(all.toReversed().map((keys) => [keys.id.toString("hex"), keys]));
  return {
    seal: (plaintext, context) => seal(current, plaintext, context),
    open: (sealed, context) => {
      const keys = byId.get(readKeyId(sealed).toString("hex"));
      if (keys === undefined)
        throw new SecretBoxError("unknown_key", "sealed under a master key that is not configured");
      return open(keys, sealed, context);
    },
    isCurrent: (sealed) => readKeyId(sealed).equals(current.id),
    hash: (plaintext) => hashUnder(current, plaintext),
    hashMatches: (plaintext, storedHash) => {
      let matched = false;
      for (const keys of all) matched = sameBytes(hashUnder(keys, plaintext), storedHash) || matched;
      return matched;
    },
  };
}

function seal(keys: DerivedKeys, plaintext: string, context: SecretContext): Buffer {
  const text = Buffer.from(plaintext, "utf8");
  if (text.length > PLAINTEXT_BYTES_MAX) throw new RangeError(`a secret has at most ${PLAINTEXT_BYTES_MAX} bytes`);
  if (!plaintext.isWellFormed()) throw new RangeError("a secret must be well-formed Unicode");
  const header = Buffer.concat([Buffer.of(VERSION), keys.id]);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, keys.encryption, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(header, context));
  return Buffer.concat([header, nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

function open(keys: DerivedKeys, sealed: Buffer, context: SecretContext): string {
  const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, keys.encryption, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(sealed.subarray(0, HEADER_BYTES), context));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const ciphertext = sealed.subarray(HEADER_BYTES + NONCE_BYTES, sealed.length - TAG_BYTES);
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString("utf8");
  } catch {
    throw new SecretBoxError("refused", "the sealed secret was changed, or belongs to another webhook or purpose");
  }
}

/** The key id of sealed bytes that have the right version and a possible length. */
function readKeyId(sealed: Buffer): Buffer {
  if (
    sealed.length < SEALED_BYTES_MIN ||
    sealed.length > SEALED_BYTES_MIN + PLAINTEXT_BYTES_MAX ||
    sealed[0] !== VERSION
  ) {
    throw new SecretBoxError("malformed", "not a sealed secret of a known version");
  }
  return sealed.subarray(1, HEADER_BYTES);
}

/** JSON keeps the parts apart whatever they contain. */
function associatedData(header: Buffer, { organizationId, webhookId, purpose }: SecretContext): Buffer {
  return Buffer.concat([header, Buffer.from(JSON.stringify([organizationId, webhookId, purpose]), "utf8")]);
}

function deriveKeys(master: Buffer): DerivedKeys {
  if (master.length !== MASTER_KEY_BYTES) throw new RangeError(`a master key has ${MASTER_KEY_BYTES} bytes`);
  const derive = (label: string, bytes: number) =>
    Buffer.from(hkdfSync("sha256", master, Buffer.alloc(0), `alumia-webhooks secret-box v1 ${label}`, bytes));
  return { id: derive("key-id", KEY_ID_BYTES), encryption: derive("encryption", 32), hash: derive("hash", 32) };
}

function hashUnder(keys: DerivedKeys, plaintext: string): Buffer {
  return createHmac("sha256", keys.hash).update(plaintext, "utf8").digest();
}
