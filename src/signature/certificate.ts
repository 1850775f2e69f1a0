/** Certificates that vendors publish beside their signatures. */
import { type KeyObject, X509Certificate } from "node:crypto";
import { hasContent, type KeyAnswer, type KeyTrust } from "./needed-key.ts";

/** Most certificates of one file, and largest file that is looked at, bytes. */
export const CERTIFICATES_MAX = 8;
export const CERTIFICATE_BYTES_MAX = 65_536;

const PEM = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----/g;

/**
 * The certificates in an answer, in their order; undefined where there are none, or too many, or one is broken. Throws
 * for an answer that says nothing about them.
 */
export function readCertificates(answer: KeyAnswer): readonly [X509Certificate, ...X509Certificate[]] | undefined {
  if (!hasContent(answer) || answer.body.length > CERTIFICATE_BYTES_MAX) return undefined;
  const blocks = answer.body.toString("latin1").match(PEM) ?? [];
  if (blocks.length > CERTIFICATES_MAX) return undefined;
  try {
    const [first, ...rest] = blocks.map((block) => new X509Certificate(block));
    return first && [first, ...rest];
  } catch {
    return undefined;
  }
}

/** Whether the certificate is valid at that time. */
export function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  return certificate.validFromDate.getTime() <= nowMs && nowMs <= certificate.validToDate.getTime();
}

/** Whether a path leads from the first certificate, through the others, to one of the roots, all valid now. */
export function isTrusted(chain: readonly X509Certificate[], { nowMs, roots }: KeyTrust): boolean {
  const anchors = roots.map((root) => new X509Certificate(root));
  let certificate = chain[0];
  for (let depth = 0; certificate !== undefined && depth <= CERTIFICATES_MAX; depth++) {
    const issued: X509Certificate = certificate;
    if (!isValidAt(issued, nowMs)) return false;
    if (anchors.some((root) => isIssuedBy(issued, root) && isValidAt(root, nowMs))) return true;
    certificate = chain.find((other) => other !== issued && other.ca && isIssuedBy(issued, other));
  }
  return false;
}

const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

/** The common name of the certificate's subject. */
export function commonName({ subject }: X509Certificate): string | undefined {
  return /^CN=(.+)$/m.exec(subject)?.[1];
}

/** The public key of a certificate, if it is RSA. */
export function rsaKeyOf({ publicKey }: X509Certificate): KeyObject | undefined {
  return publicKey.asymmetricKeyType === "rsa" ? publicKey : undefined;
}
