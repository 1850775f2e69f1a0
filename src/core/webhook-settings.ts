/** Pure rules of a webhook's settings: what a patch means against what stands. */
import { AppError, invalidField } from "../errors.ts";
import { findSource } from "../signature/source.ts";
import type { Verification } from "../signature/verification/settings.ts";
import type { WebhookStatus } from "../store/entities/webhook.ts";
import { findUnmatchable, normalizeAllowlist } from "./allowlist.ts";
import type { CredentialPatch } from "./credential-changes.ts";
import type { DeliveryPatch } from "./delivery-settings.ts";

/** Path of a webhook's receive URL. */
export const RECEIVE_PATH = "/api/v1/webhooks/receive/";
/** The path that all webhooks of source linear share. */
export const LINEAR_PATH = "/api/v1/webhooks/linear";

/** Fields as given by a caller: absent keys stay as they are, null means "none". */
export interface WebhookPatch extends DeliveryPatch {
  readonly name?: string | null;
  readonly url?: string | null;
  readonly source?: string | null;
  readonly description?: string | null;
  readonly events?: readonly string[];
  readonly status?: string | null;
  readonly enabled?: boolean | null;
  readonly forwardingState?: string | null;
  readonly verification?: Verification | null;
  /** The only settings of `verification` that are meant, as JSON paths; all if absent. */
  readonly verificationPaths?: readonly string[];
  /** What the destination is shown: headers, an authentication, a client certificate. */
  readonly credentials?: CredentialPatch;
  /** Whether deliveries carry an ed25519 signature too. */
  readonly ed25519?: boolean;
  readonly secret?: string;
}

/**
 * The status that `status` and `enabled` ask for together. `enabled: false` pauses an active webhook and leaves
 * others as they are; `enabled: true` makes any active. BAD_REQUEST if the two contradict each other.
 */
export function resolveStatus(current: WebhookStatus, patch: Pick<WebhookPatch, "status" | "enabled">): WebhookStatus {
  if (patch.status === null) throw invalidField("status", "required", "must be active, paused or disabled");
  if (patch.enabled === null) throw invalidField("enabled", "required", "must be true or false");
  const { enabled } = patch;
  const status = patch.status as WebhookStatus | undefined;
  if (status !== undefined) {
    if (enabled !== undefined && enabled !== (status === "active")) {
      throw invalidField("enabled", "contradiction", `contradicts status "${status}"`);
    }
    return status;
  }
  if (enabled === undefined) return current;
  if (enabled) return "active";
  return current === "active" ? "paused" : current;
}

/** Judges a destination; the message completes "url …". */
export type UrlCheck = (url: string) => { ok: true } | { ok: false; rule: string; message: string };

/**
 * The outbound url that a caller asks for; null means no forwarding. The webhook's own receive path means the same,
 * whatever its host, so that a client may send back what it was given.
 */
export function resolveUrl(url: string | null, webhookId: string, check: UrlCheck): string | null {
  const text = url?.trim() ?? "";
  if (text === "" || isOwnReceiveUrl(text, webhookId)) return null;
  const verdict = check(text);
  if (!verdict.ok) throw invalidField("url", verdict.rule, verdict.message);
  return text;
}

function isOwnReceiveUrl(text: string, webhookId: string): boolean {
  const url = URL.parse(text);
  if (!url?.pathname.startsWith(RECEIVE_PATH)) return false;
  // Receiving takes the id in either case.
  return url.pathname.slice(RECEIVE_PATH.length).toLowerCase() === webhookId;
}

/** Names are trimmed; null or blank is refused. */
export function resolveName(name: string | null): string {
  const text = name?.trim() ?? "";
  if (text === "") throw invalidField("name", "required", "must not be empty");
  return text;
}

/** An allowlist is normalized; a pattern that could match no event is refused. */
export function resolveEvents(list: readonly string[]): string[] {
  const index = findUnmatchable(list);
  if (index >= 0)
    throw invalidField(`events[${index}]`, "pattern", 'must be a type, "*", or a prefix followed by ".*"');
  return [...normalizeAllowlist(list)];
}

/**
 * A source is trimmed; null or blank means "custom". A known one gets its own name, whatever case, hyphens or second
 * name it was given; others stay as they are.
 */
export function resolveSource(source: string | null | undefined): string {
  const text = source?.trim() ?? "";
  if (text === "") return "custom";
  const { name } = findSource(text);
  return name === "custom" ? text : name;
}

/** The same whether the webhook never existed, is deleted, or belongs to another organization. */
export const noSuchWebhook = (): AppError => new AppError("NOT_FOUND", "no such webhook");
