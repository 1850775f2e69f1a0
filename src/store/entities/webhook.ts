import { defineEntity, p } from "@mikro-orm/core";
import type { SealedPurpose } from "../../security/secret-box.ts";
import { organizationFilter } from "./organization-filter.ts";

/** "active", "paused" (recorded, deliveries wait) or "disabled" (refused). */
export type WebhookStatus = "active" | "paused" | "disabled";

const WebhookSchema = defineEntity({
  name: "Webhook",
  tableName: "webhooks",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    name: p.text(),
    url: p.text().nullable(),
    source: p.text(),
    /** How requests are verified, in the API's JSON form; null: as the source's preset says. */
    verification: p.json<object>().nullable(),
    /** How deliveries are made, in the API's JSON form; null: as the server's settings say. */
    delivery: p.json<object>().nullable(),
    description: p.text().nullable(),
    events: p.array<string>(),
    status: p.text().$type<WebhookStatus>(),
    forwardingReason: p.text().nullable(),
    forwardingStoppedAt: p.datetime().nullable(),
    /** Raised by every change that receiving or routing must see; never by counters. */
    version: p.bigint("string"),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
  },
});

/** The inbound receiver. */
export class Webhook extends WebhookSchema.class {}
WebhookSchema.setClass(Webhook);

const WebhookSecretSchema = defineEntity({
  name: "WebhookSecret",
  tableName: "webhook_secrets",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    purpose: p.text().$type<SealedPurpose>(),
    sealed: p.blob(),
    hash: p.blob(),
    createdAt: p.datetime(),
    /** End of its grace; null while it is the secret in force. */
    expiresAt: p.datetime().nullable(),
  },
});

/** One sealed secret: a signing key, or what the destination wants to see. */
export class WebhookSecret extends WebhookSecretSchema.class {}
WebhookSecretSchema.setClass(WebhookSecret);

const WebhookCountersSchema = defineEntity({
  name: "WebhookCounters",
  tableName: "webhook_counters",
  filters: organizationFilter,
  properties: {
    webhookId: p.uuid().primary(),
    organizationId: p.uuid(),
    deliveryCount: p.bigint("number"),
    lastDeliveryAt: p.datetime().nullable(),
    /** When the first of the attempts ended that have all failed since; null: the latest did not. */
    failingSince: p.datetime().nullable(),
  },
});

/** Counts kept apart from the webhook, so that deliveries never touch its row. */
export class WebhookCounters extends WebhookCountersSchema.class {}
WebhookCountersSchema.setClass(WebhookCounters);
