import { defineEntity, p } from "@mikro-orm/core";
import type { HeaderList } from "./event.ts";
import { organizationFilter } from "./organization-filter.ts";

export type DeliveryStatus = "pending" | "delivering" | "paused" | "succeeded" | "failed" | "canceled";

const DeliverySchema = defineEntity({
  name: "Delivery",
  tableName: "deliveries",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    destinationId: p.uuid(),
    eventId: p.uuid(),
    eventType: p.text().nullable(),
    url: p.text(),
    status: p.text().$type<DeliveryStatus>(),
    attemptCount: p.integer(),
    nextAttemptAt: p.datetime().nullable(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    completedAt: p.datetime().nullable(),
    /** Whether the status is one of trouble; indexed. */
    troubled: p.boolean(),
  },
});

/** One event owed to one destination. */
export class Delivery extends DeliverySchema.class {}
DeliverySchema.setClass(Delivery);

/** What caused an attempt: the schedule, a person, a bulk job, or a resume that let it go after its time. */
export type AttemptTrigger = "scheduled" | "manual" | "bulk" | "resume";

export type AttemptStatus = "succeeded" | "failed" | "interrupted";

const DeliveryAttemptSchema = defineEntity({
  name: "DeliveryAttempt",
  // A view of the rows of delivery_attempts and of what deliveries keep themselves.
  tableName: "attempts",
  filters: organizationFilter,
  properties: {
    deliveryId: p.uuid().primary(),
    number: p.integer().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    trigger: p.text().$type<AttemptTrigger>(),
    status: p.text().$type<AttemptStatus>(),
    /** Where it went; null where the worker died before it said so. */
    url: p.text().nullable(),
    startedAt: p.datetime(),
    durationMs: p.integer(),
    dnsMs: p.integer().nullable(),
    connectMs: p.integer().nullable(),
    tlsMs: p.integer().nullable(),
    firstByteMs: p.integer().nullable(),
    statusCode: p.integer().nullable(),
    errorCode: p.text().nullable(),
    errorMessage: p.text().nullable(),
    /** Version of the service that sent it; with the event, the request's headers follow from it. */
    senderVersion: p.text().nullable(),
    /** Names of the webhook's own headers and credentials that were sent. */
    credentialHeaders: p.array<string>().nullable(),
    responseHeaders: p.json<HeaderList>().nullable(),
    responseBody: p.blob().nullable(),
    responseTruncated: p.boolean(),
    remoteAddress: p.text().nullable(),
    nextAttemptAt: p.datetime().nullable(),
  },
});

/** One try of a delivery; never changed once written. */
export class DeliveryAttempt extends DeliveryAttemptSchema.class {}
DeliveryAttemptSchema.setClass(DeliveryAttempt);
