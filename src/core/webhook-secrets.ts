/** Issuing and rotating a webhook's secrets. Plaintext leaves here only towards the answer that issues it. */
import type { EntityManager } from "@mikro-orm/postgresql";
import { invalidField } from "../errors.ts";
import type { SealedPurpose, SecretBox } from "../security/secret-box.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { generateSigningKey } from "../signature/ed25519.ts";
import { generateSecret } from "../signature/key.ts";
import { ACTIVE_SECRETS_MAX, findSource, generateSecretFor, secretForm, secretProblem } from "../signature/source.ts";
import { type Webhook, WebhookSecret } from "../store/entities/webhook.ts";
import { newId } from "./ids.ts";

/** What can be rotated. */
export type SecretPurpose = "receive" | "forward" | "ed25519";

/**
 * The secret that a caller supplies for a source, checked; a generated one if none is supplied. Undefined where only the
 * provider can make it: it may become known once the webhook's URL is registered there.
 */
export function chooseSecret(source: CompiledSource, supplied: string | undefined): string | undefined {
  if (supplied === undefined) return generateSecretFor(source);
  const problem = secretProblem(source, supplied);
  if (problem !== null) throw invalidField("secret", "secret", problem);
  return supplied;
}

/** A secret that takes the place of another, as `chooseSecret`; where only the provider can make it, it must be supplied. */
export function chooseNextSecret(source: CompiledSource, supplied: string | undefined): string {
  const text = chooseSecret(source, supplied);
  if (text !== undefined) return text;
  const form = secretForm(source);
  throw invalidField("secret", "required", `only the provider can make it for source "${source.name}": ${form}`);
}

/** An outbound secret: always in the form that Standard Webhooks verifiers take. */
export function chooseForwardSecret(supplied: string | undefined): string {
  return chooseSecret(findSource("standardwebhooks"), supplied) ?? generateSecret();
}

/** Adds a secret in force to the webhook, within the caller's transaction. */
export function issueSecret(
  em: EntityManager,
  box: SecretBox,
  webhook: Webhook,
  issue: { readonly purpose: SealedPurpose; readonly text: string; readonly now: Date },
): void {
  const context = { organizationId: webhook.organizationId, webhookId: webhook.id, purpose: issue.purpose };
  const secret = em.create(WebhookSecret, {
    id: newId(),
    organizationId: webhook.organizationId,
    webhookId: webhook.id,
    purpose: issue.purpose,
    sealed: box.seal(issue.text, context),
    hash: box.hash(issue.text),
    createdAt: issue.now,
    expiresAt: null,
  });
  em.persist(secret);
}

/**
 * Replaces the secret in force. Without a grace every older secret goes at once; with one the secret in force stays
 * valid until it ends, and those of earlier graces keep theirs, as far as the bound on active secrets allows.
 */
export async function rotateSecret(
  em: EntityManager,
  box: SecretBox,
  webhook: Webhook,
  rotation: { purpose: SecretPurpose; text: string; now: Date; graceSeconds: number },
): Promise<void> {
  const { purpose, now, graceSeconds } = rotation;
  const older = await em.find(WebhookSecret, { webhookId: webhook.id, purpose }, { orderBy: { createdAt: "desc" } });
  for (const [index, secret] of older.entries()) {
    const expired = secret.expiresAt !== null && secret.expiresAt !== undefined && secret.expiresAt <= now;
    if (graceSeconds === 0 || expired || index >= ACTIVE_SECRETS_MAX - 1) em.remove(secret);
    else secret.expiresAt ??= new Date(now.getTime() + graceSeconds * 1_000);
  }
  issueSecret(em, box, webhook, rotation);
}

/** Plaintext of the webhook's inbound secret in force, for use within the process only. */
export async function currentSecret(em: EntityManager, box: SecretBox, webhook: Webhook): Promise<string | undefined> {
  const current = await em.findOne(WebhookSecret, { webhookId: webhook.id, purpose: "receive", expiresAt: null });
  if (!current) return undefined;
  const context = { organizationId: webhook.organizationId, webhookId: webhook.id, purpose: "receive" } as const;
  return box.open(Buffer.from(current.sealed), context);
}

/** Begins to sign deliveries with an ed25519 key beside the forward secret, or ends it at once. */
export async function applyEd25519(
  em: EntityManager,
  box: SecretBox,
  webhook: Webhook,
  wanted: boolean,
  now: Date,
): Promise<void> {
  const keys = await em.find(WebhookSecret, { webhookId: webhook.id, purpose: "ed25519" });
  if (!wanted) for (const key of keys) em.remove(key);
  else if (keys.length === 0) issueSecret(em, box, webhook, { purpose: "ed25519", text: generateSigningKey(), now });
}

/** A new ed25519 key, which is made here and never supplied. BAD_REQUEST where the webhook signs with none. */
export async function chooseSigningKey(
  em: EntityManager,
  webhook: Webhook,
  supplied: string | undefined,
): Promise<string> {
  if (supplied !== undefined) throw invalidField("secret", "generated", "is made by the gateway for an ed25519 key");
  const signs = await em.count(WebhookSecret, { webhookId: webhook.id, purpose: "ed25519" });
  if (signs === 0) throw invalidField("target", "ed25519", "needs forwarding.ed25519 to be true");
  return generateSigningKey();
}
