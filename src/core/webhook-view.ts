/** A webhook as its owner sees it: with its counts, and with what may be seen of how it forwards. */
import type { EntityManager } from "@mikro-orm/postgresql";
import type { SecretBox } from "../security/secret-box.ts";
import { Lane } from "../store/entities/lane.ts";
import { type Webhook, WebhookCounters } from "../store/entities/webhook.ts";
import { type ForwardingView, forwardingViews, NO_FORWARDING } from "./forwarding-view.ts";

/** `secret` and `forwardSecret` stand in the answer that issues them. */
export interface WebhookView {
  readonly webhook: Webhook;
  readonly deliveryCount: number;
  readonly lastDeliveryAt: Date | null;
  /** Since when every attempt has failed; null where the latest did not. */
  readonly failingSince: Date | null;
  readonly forwarding: ForwardingView;
  /** Where its deliveries wait, if they do. */
  readonly lane: Lane | undefined;
  readonly secret?: string;
  readonly forwardSecret?: string;
}

/** The views of webhooks, in their order. */
export async function viewsOf(
  em: EntityManager,
  box: SecretBox,
  webhooks: readonly Webhook[],
  now: Date,
): Promise<WebhookView[]> {
  const ids = webhooks.map((webhook) => webhook.id);
  const counters = ids.length === 0 ? [] : await em.find(WebhookCounters, { webhookId: { $in: ids } });
  const byId = new Map(counters.map((row) => [row.webhookId, row]));
  const lanes = ids.length === 0 ? [] : await em.find(Lane, { destinationId: { $in: ids } });
  const laneOf = new Map(lanes.map((lane) => [lane.destinationId, lane]));
  const forwarding = await forwardingViews(em, box, webhooks, now);
  return webhooks.map((webhook) => ({
    webhook,
    deliveryCount: byId.get(webhook.id)?.deliveryCount ?? 0,
    lastDeliveryAt: byId.get(webhook.id)?.lastDeliveryAt ?? null,
    failingSince: byId.get(webhook.id)?.failingSince ?? null,
    forwarding: forwarding.get(webhook.id) ?? NO_FORWARDING,
    lane: laneOf.get(webhook.id),
  }));
}
