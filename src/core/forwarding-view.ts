/** What is shown of how a webhook forwards: names, public parts and public keys; every secret is "[redacted]". */
import type { EntityManager } from "@mikro-orm/postgresql";
import type { SecretBox } from "../security/secret-box.ts";
import { prepareSigningKey, publicKeyText } from "../signature/ed25519.ts";
import { type Webhook, WebhookSecret } from "../store/entities/webhook.ts";
import { type CertificateView, describeCertificate } from "./client-certificate.ts";
import {
  type AuthSettings,
  CREDENTIAL_PURPOSES,
  type HeaderSettings,
  openCredentials,
  redactAuth,
} from "./destination-credentials.ts";
import { REDACTED } from "./redact-headers.ts";

export interface ForwardingView {
  readonly headers: HeaderSettings;
  readonly auth: AuthSettings | null;
  readonly certificate: (CertificateView & { readonly certificate: string; readonly key: string }) | null;
  /** Public keys of the asymmetric signature, the one in force first; empty where there is none. */
  readonly publicKeys: readonly string[];
}

export const NO_FORWARDING: ForwardingView = { headers: [], auth: null, certificate: null, publicKeys: [] };

/** The views of webhooks that have anything to show, by webhook id. */
export async function forwardingViews(
  em: EntityManager,
  box: SecretBox,
  webhooks: readonly Webhook[],
  now: Date,
): Promise<Map<string, ForwardingView>> {
  if (webhooks.length === 0) return new Map();
  const rows = await em.find(
    WebhookSecret,
    {
      webhookId: { $in: webhooks.map(({ id }) => id) },
      purpose: { $in: [...CREDENTIAL_PURPOSES, "ed25519"] },
      $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }],
    },
    { orderBy: { createdAt: "desc", id: "desc" } },
  );
  const byWebhook = Map.groupBy(rows, (row) => row.webhookId);
  const shown = webhooks.flatMap((webhook): [string, ForwardingView][] => {
    const secrets = byWebhook.get(webhook.id);
    return secrets ? [[webhook.id, viewOf(secrets, box, webhook)]] : [];
  });
  return new Map(shown);
}

function viewOf(secrets: readonly WebhookSecret[], box: SecretBox, webhook: Webhook): ForwardingView {
  // What does not open cannot be shown; whoever delivers reports it.
  const { headers, auth, certificate } = openCredentials(secrets, box, webhook, () => {});
  const pem = certificate?.settings.certificate;
  return {
    headers: (headers?.settings ?? []).map(([name]) => [name, REDACTED]),
    auth: auth ? redactAuth(auth.settings) : null,
    certificate: pem === undefined ? null : { ...describeCertificate(pem), certificate: pem, key: REDACTED },
    publicKeys: secrets.flatMap((secret) => publicKeys(secret, box)),
  };
}

function publicKeys({ purpose, sealed, organizationId, webhookId }: WebhookSecret, box: SecretBox): string[] {
  if (purpose !== "ed25519") return [];
  try {
    const text = box.open(Buffer.from(sealed), { organizationId, webhookId, purpose });
    return [publicKeyText(prepareSigningKey(text))];
  } catch {
    return [];
  }
}
