/** How a webhook verifies: its source, its own settings, and a secret that both can use. */
import { isDeepStrictEqual } from "node:util";
import type { EntityManager } from "@mikro-orm/postgresql";
import { invalidField } from "../errors.ts";
import type { SecretBox } from "../security/secret-box.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { keyKind, secretForm, secretProblem } from "../signature/source.ts";
import { type Verification, VerificationError } from "../signature/verification/settings.ts";
import { findSourceWith } from "../signature/verification/source.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import { chooseNextSecret, currentSecret, rotateSecret } from "./webhook-secrets.ts";
import { resolveSource, type WebhookPatch } from "./webhook-settings.ts";

/** The source as the settings make it. BAD_REQUEST, naming the setting, if they make no sense for it. */
export function resolveVerifier(source: string, settings: Verification | null): CompiledSource {
  try {
    return findSourceWith(source, settings);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    throw invalidField(`verification.${error.field}`, error.rule, error.message);
  }
}

/**
 * The settings as a patch leaves them: replaced as a whole or, with paths, changed where these lead. Another scheme
 * starts anew: of the old one only type, id and repeats stay. Null where nothing is set.
 */
export function resolveVerification(
  current: Verification | null,
  { verification: given, verificationPaths: paths }: Pick<WebhookPatch, "verification" | "verificationPaths">,
): Verification | null {
  if (given === undefined) return current;
  const settings = paths === undefined ? given : changed(current, given, paths);
  return settings === null || Object.keys(settings).length === 0 ? null : settings;
}

type Settings = Readonly<Record<string, unknown>>;

function changed(current: Verification | null, given: Verification | null, paths: readonly string[]): Verification {
  const startsAnew = paths.includes("scheme") && given?.scheme !== current?.scheme;
  const { eventType, eventId, repeats } = current ?? {};
  const base = startsAnew ? defined({ eventType, eventId, repeats }) : (current ?? {});
  let settings: Settings = { ...base };
  for (const path of paths) {
    const steps = path.split(".");
    const value = steps.reduce<unknown>((holder, step) => (holder as Settings | undefined)?.[step], given ?? {});
    settings = withSetting(settings, steps, value);
  }
  return settings;
}

/** The settings with the one at the path set; without it, and without what is left empty by that, if undefined. */
function withSetting(settings: Settings, [step = "", ...rest]: readonly string[], value: unknown): Settings {
  const { [step]: before, ...others } = settings;
  const after = rest.length === 0 ? value : withSetting((before ?? {}) as Settings, rest, value);
  const isEmpty = after === undefined || (rest.length > 0 && Object.keys(after as Settings).length === 0);
  return isEmpty ? others : { ...others, [step]: after };
}

function defined(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/**
 * Applies a patch's source, settings and secret to a webhook. Another kind of key, or a secret in force that is of no
 * use any more, needs a secret in the same request.
 */
export async function applyVerification(
  em: EntityManager,
  box: SecretBox,
  webhook: Webhook,
  patch: WebhookPatch,
  now: Date,
): Promise<void> {
  const before = verificationOf(webhook);
  const source = patch.source === undefined ? webhook.source : resolveSource(patch.source);
  const verification = resolveVerification(before, patch);
  const isChanged = source !== webhook.source || !isDeepStrictEqual(verification, before);
  if (!isChanged && patch.secret === undefined) return;
  const verifier = resolveVerifier(source, verification);
  const current = await currentSecret(em, box, webhook);
  const [kindBefore, kind] = [kindOf(webhook), keyKind(verifier)];
  const mayStay = kind === kindBefore || kind === "none";
  // A secret that nothing was verified with may be the same, but is taken anew, without those of older graces.
  const isNew = patch.secret !== current || (kindBefore === "none" && !mayStay);
  if (patch.secret !== undefined && isNew) {
    if (!isChanged) throw invalidField("secret", "rotate", "is changed by rotating it, not by an update");
    const text = chooseNextSecret(verifier, patch.secret);
    await rotateSecret(em, box, webhook, { purpose: "receive", text, now, graceSeconds: 0 });
  } else if (isChanged) {
    // One that is still to be brought is awaited of the old source, not of another.
    const isMissing = current === undefined && source !== webhook.source && kind !== "none";
    if (!mayStay || isMissing || (current !== undefined && secretProblem(verifier, current) !== null)) {
      const why = "the new source or verification takes another kind of secret";
      throw invalidField("secret", "required", `must be sent along: ${why} (${secretForm(verifier)})`);
    }
  }
  webhook.source = source;
  webhook.verification = verification;
}

/** The kind of key in use; undefined where the stored settings are of no use to this version. */
function kindOf(webhook: Webhook): string | undefined {
  try {
    return keyKind(findSourceWith(webhook.source, verificationOf(webhook)));
  } catch {
    return undefined;
  }
}

/** What the webhook's requests are verified by. BAD_REQUEST where the stored settings are of no use to this version. */
export function verifierOf(webhook: Webhook): CompiledSource {
  return resolveVerifier(webhook.source, verificationOf(webhook));
}

/** The settings as they are stored: in the form of the API's JSON. */
export function verificationOf({
  verification,
}: {
  readonly verification?: object | null | undefined;
}): Verification | null {
  return (verification ?? null) as Verification | null;
}
