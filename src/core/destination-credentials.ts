/**
 * What a webhook shows its destination beside the signature: headers of its own, an authentication, a client
 * certificate. Each is sealed by itself as JSON, with the origin (RFC 6454) of the url that it was given for: it is
 * sent nowhere else, so that nobody learns it by pointing the url at a place of their own.
 */
import { createHash } from "node:crypto";
import type { SealedPurpose, SecretBox } from "../security/secret-box.ts";
import { REDACTED } from "./redact-headers.ts";

/** Names in lower case, in the order given. */
export type HeaderSettings = readonly (readonly [name: string, value: string])[];

export interface OAuth2Settings {
  readonly type: "oauth2";
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | null;
  readonly audience: string | null;
  /** Where the client's id and secret stand in the token request (RFC 6749 §2.3.1). */
  readonly clientAuthentication: "basic" | "body";
}

export type AuthSettings =
  | { readonly type: "basic"; readonly username: string; readonly password: string }
  | { readonly type: "bearer"; readonly token: string }
  | { readonly type: "apiKey"; readonly name: string; readonly value: string }
  | OAuth2Settings;

/** PEM: the certificate with its intermediates, and its private key. */
export interface CertificateSettings {
  readonly certificate: string;
  readonly key: string;
}

export interface CredentialSettings {
  readonly headers: HeaderSettings;
  readonly auth: AuthSettings;
  readonly certificate: CertificateSettings;
}

export type CredentialPurpose = Extract<SealedPurpose, keyof CredentialSettings>;
export const CREDENTIAL_PURPOSES: readonly CredentialPurpose[] = ["headers", "auth", "certificate"];

/** What is sealed. */
export interface Kept<Settings> {
  readonly origin: string;
  readonly settings: Settings;
}

export type KeptCredentials = { readonly [Purpose in CredentialPurpose]?: Kept<CredentialSettings[Purpose]> };

/** Everything that one destination is shown. */
export interface DestinationCredentials {
  readonly headers: HeaderSettings;
  readonly auth: AuthSettings | null;
  readonly certificate: (CertificateSettings & { readonly id: string }) | null;
  /** Names of the headers that are sent for these, lower case. */
  readonly headerNames: readonly string[];
}

interface Sealed {
  readonly purpose: SealedPurpose;
  readonly sealed: Uint8Array;
  readonly hash: Uint8Array;
}

/**
 * Opens what a webhook's secrets hold of credentials. One that does not open, or is not what was sealed, is told to
 * `onUnusable`, which may throw, and is left out.
 */
export function openCredentials(
  secrets: readonly Sealed[],
  box: SecretBox,
  webhook: { readonly id: string; readonly organizationId: string },
  onUnusable: (webhookId: string, error: unknown) => void,
): KeptCredentials {
  const kept: Partial<Record<CredentialPurpose, unknown>> = {};
  for (const { purpose, sealed, hash } of secrets) {
    if (!isCredential(purpose)) continue;
    const context = { organizationId: webhook.organizationId, webhookId: webhook.id, purpose };
    try {
      const text = box.open(Buffer.from(sealed), context);
      if (!box.hashMatches(text, Buffer.from(hash))) throw new Error("a stored credential does not match its hash");
      kept[purpose] = JSON.parse(text);
    } catch (error) {
      onUnusable(webhook.id, error);
    }
  }
  return kept as KeptCredentials;
}

export const isCredential = (purpose: SealedPurpose): purpose is CredentialPurpose =>
  (CREDENTIAL_PURPOSES as readonly SealedPurpose[]).includes(purpose);

/** What the destination at `origin` is shown; null: nothing. Throws if something was given for another origin. */
export function credentialsFor(kept: KeptCredentials, origin: string): DestinationCredentials | null {
  const all = CREDENTIAL_PURPOSES.flatMap((purpose) => kept[purpose] ?? []);
  if (all.length === 0) return null;
  if (all.some((one) => one.origin !== origin)) throw new Error("the credentials belong to another origin");
  const headers = kept.headers?.settings ?? [];
  const auth = kept.auth?.settings ?? null;
  const certificate = kept.certificate?.settings;
  return {
    headers,
    auth,
    certificate: certificate ? { ...certificate, id: idOf(certificate) } : null,
    headerNames: [...headers.map(([name]) => name), ...(auth ? [authHeader(auth)] : [])],
  };
}

/** The name of the header that an authentication is sent in, lower case. */
export function authHeader(auth: AuthSettings): string {
  return auth.type === "apiKey" ? auth.name : "authorization";
}

function idOf({ certificate, key }: CertificateSettings): string {
  return createHash("sha256")
    .update(JSON.stringify([certificate, key]))
    .digest("base64");
}

/** The settings as they may be shown: every secret is "[redacted]". */
export function redactAuth(auth: AuthSettings): AuthSettings {
  switch (auth.type) {
    case "basic":
      return { ...auth, password: REDACTED };
    case "bearer":
      return { ...auth, token: REDACTED };
    case "apiKey":
      return { ...auth, value: REDACTED };
    case "oauth2":
      return { ...auth, clientSecret: REDACTED };
  }
}
