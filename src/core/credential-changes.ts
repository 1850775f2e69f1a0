/** Changing what a webhook shows its destination, within the caller's transaction. */
import type { EntityManager } from "@mikro-orm/postgresql";
import { invalidField } from "../errors.ts";
import { PLAINTEXT_BYTES_MAX, type SecretBox } from "../security/secret-box.ts";
import { type Webhook, WebhookSecret } from "../store/entities/webhook.ts";
import { resolveCertificate } from "./client-certificate.ts";
import { resolveHeaders } from "./custom-headers.ts";
import { originOf, resolveAuth } from "./destination-auth.ts";
import {
  type AuthSettings,
  authHeader,
  type CertificateSettings,
  CREDENTIAL_PURPOSES,
  type CredentialPurpose,
  type CredentialSettings,
  type Kept,
  type KeptCredentials,
  openCredentials,
} from "./destination-credentials.ts";
import { issueSecret } from "./webhook-secrets.ts";
import type { UrlCheck } from "./webhook-settings.ts";

/** As given by a caller: absent parts stay as they are, null ends them; "[redacted]" keeps a secret that stands. */
export interface CredentialPatch {
  readonly headers?: Readonly<Record<string, string>> | null;
  readonly auth?: AuthSettings | null;
  readonly certificate?: CertificateSettings | null;
}

const FIELDS: Readonly<Record<CredentialPurpose, string>> = {
  headers: "forwarding.headers",
  auth: "forwarding.auth",
  certificate: "forwarding.clientCertificate",
};

interface Change {
  readonly patch: CredentialPatch;
  readonly urlChanged: boolean;
  readonly now: Date;
  readonly checkUrl: UrlCheck;
}

/**
 * Applies a patch to a webhook that has its new url already. What is kept goes to the origin that it was given for and
 * to no other: BAD_REQUEST where the url leads elsewhere, unless every secret is sent again.
 */
export async function applyCredentials(
  em: EntityManager,
  box: SecretBox,
  webhook: Webhook,
  { patch, urlChanged, now, checkUrl }: Change,
): Promise<void> {
  const changed = CREDENTIAL_PURPOSES.filter((purpose) => patch[purpose] !== undefined);
  if (changed.length === 0 && !urlChanged) return;
  const rows = await em.find(WebhookSecret, { webhookId: webhook.id, purpose: { $in: [...CREDENTIAL_PURPOSES] } });
  const before = openCredentials(rows, box, webhook, () => {});
  const after = resolvePatch(before, patch, webhook, { nowMs: now.getTime(), checkUrl });
  for (const purpose of changed) {
    for (const row of rows) if (row.purpose === purpose) em.remove(row);
    const kept = after[purpose];
    if (kept === undefined) continue;
    const text = JSON.stringify(kept);
    if (Buffer.byteLength(text) > PLAINTEXT_BYTES_MAX) {
      throw invalidField(FIELDS[purpose], "size", `must be at most ${PLAINTEXT_BYTES_MAX} bytes as JSON`);
    }
    issueSecret(em, box, webhook, { purpose, text, now });
  }
}

/** What stands after the patch. Pure; throws BAD_REQUEST that names the field. */
export function resolvePatch(
  before: KeptCredentials,
  patch: CredentialPatch,
  { url }: { readonly url?: string | null | undefined },
  { nowMs, checkUrl }: { readonly nowMs: number; readonly checkUrl: UrlCheck },
): KeptCredentials {
  const place = (purpose: CredentialPurpose, usesKept: boolean): string => placeOf(purpose, url, before, usesKept);
  const after: { -readonly [Purpose in CredentialPurpose]?: Kept<CredentialSettings[Purpose]> } = {};
  for (const purpose of CREDENTIAL_PURPOSES) {
    if (patch[purpose] !== undefined || before[purpose] === undefined) continue;
    if (url) place(purpose, true);
    Object.assign(after, { [purpose]: before[purpose] });
  }
  if (patch.headers && Object.keys(patch.headers).length > 0) {
    const { headers, usesKept } = resolveHeaders(patch.headers, before.headers?.settings ?? []);
    after.headers = { origin: place("headers", usesKept), settings: headers };
  }
  if (patch.auth) {
    const { auth, usesKept } = resolveAuth(patch.auth, before.auth?.settings ?? null, checkUrl);
    after.auth = { origin: place("auth", usesKept), settings: auth };
  }
  if (patch.certificate) {
    const stands = before.certificate?.settings ?? null;
    const { certificate, usesKept } = resolveCertificate(patch.certificate, stands, nowMs);
    after.certificate = { origin: place("certificate", usesKept), settings: certificate };
  }
  refuseContradictions(after);
  return after;
}

/** The origin that a part is for: the url's. */
function placeOf(
  purpose: CredentialPurpose,
  url: string | null | undefined,
  before: KeptCredentials,
  usesKept: boolean,
): string {
  const field = FIELDS[purpose];
  if (!url) throw invalidField(field, "url", "needs a url to be sent to");
  const origin = originOf(url);
  const stands = before[purpose]?.origin;
  if (usesKept && stands !== undefined && stands !== origin) {
    const message = `was given for ${stands} and is not sent to ${origin}; send its secrets again with the new url, or null`;
    throw invalidField(field, "origin", message);
  }
  return origin;
}

function refuseContradictions({ headers, auth, certificate }: KeptCredentials): void {
  const name = auth && authHeader(auth.settings);
  if (headers?.settings.some(([each]) => each === name)) {
    throw invalidField(
      `${FIELDS.headers}[${JSON.stringify(name)}]`,
      "contradiction",
      "is the header of forwarding.auth",
    );
  }
  if (certificate && !certificate.origin.startsWith("https:")) {
    throw invalidField(FIELDS.certificate, "https", "needs an https url");
  }
}
