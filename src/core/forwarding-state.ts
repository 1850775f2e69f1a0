/** Whether events reach a webhook's url: what a patch changes, what that means for what is owed, and who is told. */
import type { Webhook } from "../store/entities/webhook.ts";
import type { OwedChange } from "../store/sql/hold.ts";
import type { NewNotice } from "../store/sql/notices.ts";
import type { WebhookPatch } from "./webhook-settings.ts";

/** A webhook's forwarding before a change. */
export interface ForwardingBefore {
  readonly url: string | null;
  readonly flowing: boolean;
  readonly stoppedAt: Date | null;
  readonly reason: string | null;
}

export function forwardingOf(webhook: Webhook): ForwardingBefore {
  const { url, forwardingStoppedAt, forwardingReason } = webhook;
  const flowing = webhook.status === "active" && !forwardingStoppedAt;
  return { url: url ?? null, flowing, stoppedAt: forwardingStoppedAt ?? null, reason: forwardingReason ?? null };
}

/** Forwarding stops and resumes on request; another url is another destination, so it begins anew. */
export function applyForwarding(webhook: Webhook, patch: WebhookPatch, urlChanged: boolean, now: Date): void {
  const stop = patch.forwardingState === "stopped";
  if (stop && !webhook.forwardingStoppedAt) {
    webhook.forwardingStoppedAt = now;
    webhook.forwardingReason = "manual";
  }
  if (patch.forwardingState === "active" || (urlChanged && !stop)) {
    webhook.forwardingStoppedAt = null;
    webhook.forwardingReason = null;
  }
}

export function owedChange(before: ForwardingBefore, after: Webhook): OwedChange | undefined {
  if (before.url && !after.url) return "cancel";
  const { flowing } = forwardingOf(after);
  if (before.flowing === flowing) return undefined;
  return before.flowing ? "hold" : "release";
}

/** What is to be told of a change; undefined if forwarding neither stopped nor resumed, or there is none any more. */
export function forwardingNotice(before: ForwardingBefore, after: Webhook): NewNotice | undefined {
  const { url, stoppedAt, reason } = forwardingOf(after);
  if ((before.stoppedAt === null) === (stoppedAt === null) || url === null) return undefined;
  const about = { organizationId: after.organizationId, webhookId: after.id };
  if (stoppedAt) {
    return { ...about, type: "forwarding.stopped", data: { url, reason, stoppedAt, failingSince: null } };
  }
  return { ...about, type: "forwarding.resumed", data: { url, reason: before.reason, stoppedAt: before.stoppedAt } };
}
