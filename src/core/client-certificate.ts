/** A client certificate (mTLS) that a webhook shows its destination: what a caller may ask for. Pure. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { invalidField } from "../errors.ts";
import type { CertificateSettings } from "./destination-credentials.ts";
import { REDACTED } from "./redact-headers.ts";

/** Longest certificate with its intermediates, longest key, characters. */
export const CERTIFICATE_CHARS_MAX = 10_000;
export const PRIVATE_KEY_CHARS_MAX = 4_096;

const FIELD = "forwarding.clientCertificate";
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** What people may see of a certificate: the first of its PEM text, which is its own. */
export interface CertificateView {
  readonly subject: string;
  readonly issuer: string;
  readonly expiresAt: Date;
  /** SHA-256 of its DER form, hexadecimal with colons. */
  readonly fingerprint: string;
}

export function describeCertificate(pem: string): CertificateView {
  const { subject, issuer, validToDate, fingerprint256 } = new X509Certificate(pem);
  return { subject, issuer, expiresAt: validToDate, fingerprint: fingerprint256 };
}

/**
 * The certificate that a caller asks for; "[redacted]" keeps the key that stands. Throws BAD_REQUEST that names the
 * field: each must be PEM, the certificate first in its chain and not expired, the key not encrypted and its own.
 */
export function resolveCertificate(
  given: CertificateSettings,
  kept: CertificateSettings | null,
  nowMs: number,
): { readonly certificate: CertificateSettings; readonly usesKept: boolean } {
  const usesKept = given.key === REDACTED;
  if (usesKept && kept === null) {
    throw invalidField(`${FIELD}.key`, "redacted", `has no value to keep; send one instead of "${REDACTED}"`);
  }
  const key = usesKept ? (kept?.key ?? "") : given.key.trim();
  const leaf = parseChain(given.certificate);
  if (leaf.validToDate.getTime() <= nowMs) {
    throw invalidField(`${FIELD}.certificate`, "expired", `has expired on ${leaf.validToDate.toISOString()}`);
  }
  if (!leaf.checkPrivateKey(parseKey(key))) {
    throw invalidField(`${FIELD}.key`, "mismatch", "is not the private key of the certificate, which must stand first");
  }
  const certificate = given.certificate.trim();
  try {
    createSecureContext({ cert: certificate, key });
  } catch {
    throw invalidField(`${FIELD}.certificate`, "unusable", "cannot be used for TLS; is its key too short or too old?");
  }
  return { certificate: { certificate, key }, usesKept };
}

/** The first certificate; the others must be certificates too. */
function parseChain(pem: string): X509Certificate {
  const field = `${FIELD}.certificate`;
  if (pem.length > CERTIFICATE_CHARS_MAX) {
    throw invalidField(field, "length", `must be at most ${CERTIFICATE_CHARS_MAX} characters`);
  }
  const rest = pem.replace(PEM_CERTIFICATE, "").trim();
  const [first, ...others] = (pem.match(PEM_CERTIFICATE) ?? []).map((block) =>
    parsed(() => new X509Certificate(block)),
  );
  if (!first || others.includes(undefined) || rest !== "") {
    const message =
      "must be PEM: -----BEGIN CERTIFICATE-----, the client's own first, then its intermediates, nothing else";
    throw invalidField(field, "pem", message);
  }
  return first;
}

function parseKey(pem: string): KeyObject {
  const field = `${FIELD}.key`;
  if (pem.length > PRIVATE_KEY_CHARS_MAX) {
    throw invalidField(field, "length", `must be at most ${PRIVATE_KEY_CHARS_MAX} characters`);
  }
  if (/ENCRYPTED/.test(pem)) throw invalidField(field, "encrypted", "must not be encrypted; it is sealed here");
  const key = pem.includes("PRIVATE KEY-----") ? parsed(() => createPrivateKey(pem)) : undefined;
  if (!key) throw invalidField(field, "pem", "must be PEM of a private key: -----BEGIN PRIVATE KEY-----");
  return key;
}

function parsed<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
