import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CERTIFICATE_CHARS_MAX, describeCertificate, resolveCertificate } from "../../src/core/client-certificate.ts";
import type { CertificateSettings } from "../../src/core/destination-credentials.ts";
import { AppError } from "../../src/errors.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const fixture = (name: string) => readFileSync(new URL(`../support/tls/${name}.pem`, import.meta.url), "utf8");
const [certificate, key] = [fixture("client-cert"), fixture("client-key")];
const [leaf = "", intermediate = ""] = certificate.split(/(?<=-----END CERTIFICATE-----\n)/);

function refusal(given: CertificateSettings, kept: CertificateSettings | null = null): string {
  try {
    resolveCertificate(given, kept, NOW_MS);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(error.message).not.toContain(given.key.slice(30, 60) || "nothing");
    return error.violations
      .map(({ field, rule }) => `${field.replace("forwarding.clientCertificate.", "")} ${rule}`)
      .join();
  }
  return "taken";
}

describe("resolveCertificate", () => {
  test("a chain and its key are taken as they are", () => {
    const expected = { certificate: { certificate: certificate.trim(), key: key.trim() }, usesKept: false };
    expect(resolveCertificate({ certificate: `\n${certificate}`, key }, null, NOW_MS)).toEqual(expected);
  });

  test("a redacted key keeps the one that stands, for a certificate of the same key", () => {
    const kept = { certificate: leaf, key: key.trim() };
    const resolved = resolveCertificate({ certificate, key: "[redacted]" }, kept, NOW_MS);
    expect([resolved.certificate.key, resolved.usesKept]).toEqual([key.trim(), true]);
    const elsewhere = { certificate: fixture("localhost-cert"), key: fixture("localhost-key") };
    expect(refusal({ certificate, key: "[redacted]" }, elsewhere)).toBe("key mismatch");
  });

  test.each<[string, Partial<CertificateSettings>, string]>([
    ["only the client's own certificate", { certificate: leaf }, "taken"],
    ["no certificate", { certificate: "" }, "certificate pem"],
    ["no PEM", { certificate: "MIIB" }, "certificate pem"],
    ["PEM of something else", { certificate: key }, "certificate pem"],
    ["PEM that is broken", { certificate: leaf.replace(/\n[A-Za-z0-9+/]{8}/, "\n") }, "certificate pem"],
    [
      "a broken intermediate",
      { certificate: leaf + intermediate.replace(/\n[A-Za-z0-9+/]{8}/, "\n") },
      "certificate pem",
    ],
    ["more than certificates", { certificate: certificate + key }, "certificate pem"],
    ["the intermediate first", { certificate: intermediate + leaf }, "key mismatch"],
    [
      "one that has expired",
      { certificate: fixture("expired-cert"), key: fixture("renewed-key") },
      "certificate expired",
    ],
    ["a certificate that is too long", { certificate: "x".repeat(CERTIFICATE_CHARS_MAX + 1) }, "certificate length"],
    ["another's key", { key: fixture("localhost-key") }, "key mismatch"],
    ["an encrypted key", { key: fixture("client-key-encrypted") }, "key encrypted"],
    ["no key", { key: "" }, "key pem"],
    ["the certificate as key", { key: leaf }, "key pem"],
    ["a redacted key that never was", { key: "[redacted]" }, "key redacted"],
  ])("%s", (_what, given, expected) => {
    expect(refusal({ certificate, key, ...given })).toBe(expected);
  });
});

test("what people see of a certificate is of the first in the chain", () => {
  expect(describeCertificate(certificate)).toEqual({
    subject: "CN=gateway",
    issuer: "CN=Clients Intermediate",
    expiresAt: new Date("2120-01-01T00:00:00Z"),
    fingerprint: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
  });
});
