/** Signatures of our own deliveries: Standard Webhooks 1.0.0, symmetric (`v1`) and asymmetric (`v1a`). */
import { createHmac, type KeyObject, sign } from "node:crypto";
import { parseKey } from "./key.ts";
import type { KeyRule } from "./scheme.ts";
import { ACTIVE_SECRETS_MAX } from "./source.ts";

const FORWARD_KEY: KeyRule = { decode: "base64", prefix: "whsec_", bytesMin: 24, bytesMax: 64 };

/** Ids that stay one part of the signed content: no full stop, no space, no control character. */
const SIGNABLE_ID = /^[\x21-\x2d\x2f-\x7e]{1,200}$/;

/**
 * The value of `webhook-signature`: one `v1,<base64>` per forward secret, separated by spaces. `id` is 1 to 200
 * visible ASCII characters without a full stop, `timestampSeconds` whole seconds since the Unix epoch, `body` the
 * exact bytes sent. Throws RangeError if one of these is out of bounds, there is no secret, there are more than
 * ACTIVE_SECRETS_MAX, or one is not `whsec_` and base64 of 24 to 64 bytes; the message quotes none.
 */
export function signOutbound(secrets: readonly string[], id: string, timestampSeconds: number, body: Buffer): string {
  return signPrepared(prepareForwardSecrets(secrets), id, timestampSeconds, body);
}

/** The keys of forward secrets, decoded once, to be kept by whoever signs often. Throws as `signOutbound`. */
export function prepareForwardSecrets(secrets: readonly string[]): readonly KeyObject[] {
  if (secrets.length === 0 || secrets.length > ACTIVE_SECRETS_MAX) {
    throw new RangeError(`1 to ${ACTIVE_SECRETS_MAX} forward secrets are needed`);
  }
  return secrets.map((secret) => {
    const parsed = parseKey(FORWARD_KEY, secret);
    if (!parsed.ok) throw new RangeError(`the forward secret ${parsed.problem}`);
    return parsed.key;
  });
}

/** `signOutbound` with keys from `prepareForwardSecrets`, and from `prepareSigningKey` for `v1a`. */
export function signPrepared(keys: readonly KeyObject[], id: string, timestampSeconds: number, body: Buffer): string {
  if (!SIGNABLE_ID.test(id)) throw new RangeError("the id of a delivery must be visible ASCII without full stops");
  if (!Number.isSafeInteger(timestampSeconds) || timestampSeconds < 0) {
    throw new RangeError("the timestamp must be whole seconds since 1970");
  }
  const head = `${id}.${timestampSeconds}.`;
  return keys.map((key) => (key.type === "secret" ? hmac(key, head, body) : ed25519(key, head, body))).join(" ");
}

const hmac = (key: KeyObject, head: string, body: Buffer): string =>
  `v1,${createHmac("sha256", key).update(head).update(body).digest("base64")}`;

const ed25519 = (key: KeyObject, head: string, body: Buffer): string =>
  `v1a,${sign(null, Buffer.concat([Buffer.from(head), body]), key).toString("base64")}`;
