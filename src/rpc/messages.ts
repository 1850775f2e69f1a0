/** Entities → messages. Nothing else makes messages of entities. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type ApiKey as ApiKeyMessage, ApiKeySchema } from "../../gen/alumia/webhooks/v1/api_key_service_pb.ts";
import {
  DeliverySchema,
  type DeliverySummary,
  DeliverySummarySchema,
} from "../../gen/alumia/webhooks/v1/delivery_service_pb.ts";
import { EventSchema, type EventSummary, EventSummarySchema } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { type Webhook as WebhookMessage, WebhookSchema } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import type { DeliveryDetail, DeliveryView } from "../core/deliveries.ts";
import type { EventDetail, EventView } from "../core/events.ts";
import { isSystem } from "../core/system-webhooks.ts";
import { RECEIVE_PATH } from "../core/webhook-settings.ts";
import { verificationOf } from "../core/webhook-verification.ts";
import type { WebhookView } from "../core/webhook-view.ts";
import type { ApiKey } from "../store/entities/api-key.ts";
import type { DeliveryAttempt } from "../store/entities/delivery.ts";
import type { HeaderList } from "../store/entities/event.ts";
import { deliverySettingsMessage } from "./delivery-settings.ts";
import { forwardingMessage } from "./forwarding.ts";
import { timestamp } from "./timestamp.ts";
import { verificationMessage } from "./verification.ts";

const UNSET = { case: undefined } as const;
export const INT32_MAX = 2_147_483_647;

/** A time, left out when null. */
export function time<Name extends string>(name: Name, date: Date | null | undefined): { [K in Name]?: Timestamp } {
  return (date ? { [name]: timestamp(date) } : {}) as { [K in Name]?: Timestamp };
}

/** An optional field, left out when null. */
export function some<Name extends string, Value>(name: Name, value: Value | null | undefined): { [K in Name]?: Value } {
  return (value === null || value === undefined ? {} : { [name]: value }) as { [K in Name]?: Value };
}

/** Repeated headers are joined as RFC 9110 §5.3 allows. */
export function headerMap(headers: HeaderList | null | undefined): Record<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of headers ?? []) {
    const key = name.toLowerCase();
    const before = map.get(key);
    map.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(map);
}

/** `origin` is where the caller reached us; it begins the receive URL. */
export function webhookMessage(view: WebhookView, origin: string): WebhookMessage {
  const { webhook } = view;
  // Joined, so that it is one flat string: over any other JSON.stringify takes its slow way.
  const receiveUrl = isSystem(webhook) ? "" : [origin, RECEIVE_PATH, webhook.id].join("");
  const verification = verificationOf(webhook);
  // Written out, because `create` costs several times as much.
  return {
    $typeName: WebhookSchema.typeName,
    id: webhook.id,
    name: webhook.name,
    url: webhook.url ?? receiveUrl,
    source: webhook.source,
    description: webhook.description ?? undefined,
    events: webhook.events,
    status: webhook.status,
    enabled: webhook.status === "active",
    deliveryCount: Math.min(view.deliveryCount, INT32_MAX),
    lastDeliveryAt: view.lastDeliveryAt ? timestamp(view.lastDeliveryAt) : undefined,
    createdAt: timestamp(webhook.createdAt),
    updatedAt: timestamp(webhook.updatedAt),
    receiveUrl,
    forwarding: forwardingMessage(view),
    verification: verification ? verificationMessage(verification) : undefined,
    delivery: deliverySettingsMessage(webhook.delivery),
    issuedSecret: view.secret === undefined ? UNSET : { case: "secret", value: view.secret },
    issuedForwardSecret:
      view.forwardSecret === undefined ? UNSET : { case: "forwardSecret", value: view.forwardSecret },
  };
}

function eventFields({ event, webhookName }: EventView) {
  return {
    id: event.id,
    webhookId: event.webhookId,
    webhookName,
    ...some("type", event.type),
    ...some("sourceEventId", event.sourceEventId),
    status: event.status,
    verified: event.verified,
    scheme: event.scheme,
    synthetic: event.synthetic,
    ...some("contentType", event.contentType),
    size: event.size,
    receivedAt: timestamp(event.receivedAt),
    sourceEventIdReused: event.sourceEventIdReused,
  };
}

export function eventSummary(view: EventView): EventSummary {
  return create(EventSummarySchema, eventFields(view));
}

export function eventMessage(detail: EventDetail) {
  return create(EventSchema, {
    ...eventFields(detail),
    headers: headerMap(detail.headers),
    ...some("payload", detail.payload),
    ...some("body", detail.body),
    bodyOmitted: detail.body === null,
  });
}

function outcome(attempt: DeliveryAttempt | undefined) {
  if (!attempt) return {};
  return {
    response: {
      ...some("statusCode", attempt.statusCode),
      ...some("body", attempt.responseBody && Buffer.from(attempt.responseBody).toString("utf8")),
      headers: headerMap(attempt.responseHeaders),
      durationMs: attempt.durationMs,
      ...some("errorCode", attempt.errorCode),
      ...some("errorMessage", attempt.errorMessage),
    },
  };
}

function deliveryFields({ delivery, url, lastAttempt }: DeliveryView) {
  return {
    id: delivery.id,
    webhookId: delivery.webhookId,
    eventId: delivery.eventId,
    ...some("eventType", delivery.eventType),
    url,
    status: delivery.status,
    retryCount: Math.max(delivery.attemptCount - 1, 0),
    attemptCount: delivery.attemptCount,
    ...time("nextAttemptAt", delivery.status === "paused" ? null : delivery.nextAttemptAt),
    createdAt: timestamp(delivery.createdAt),
    updatedAt: timestamp(delivery.updatedAt),
    ...time("completedAt", delivery.completedAt),
    ...outcome(lastAttempt),
  };
}

export function deliverySummary(view: DeliveryView): DeliverySummary {
  return create(DeliverySummarySchema, deliveryFields(view));
}

export function deliveryMessage(detail: DeliveryDetail) {
  const attempts = detail.attempts.map(({ attempt, requestHeaders }) => ({
    number: attempt.number,
    trigger: attempt.trigger,
    status: attempt.status,
    startedAt: timestamp(attempt.startedAt),
    durationMs: attempt.durationMs,
    ...some("statusCode", attempt.statusCode),
    ...some("errorCode", attempt.errorCode),
    ...some("errorMessage", attempt.errorMessage),
    requestHeaders: headerMap(requestHeaders),
    responseHeaders: headerMap(attempt.responseHeaders),
    ...some("responseBody", attempt.responseBody && Buffer.from(attempt.responseBody).toString("utf8")),
    responseTruncated: attempt.responseTruncated,
    ...some("remoteAddress", attempt.remoteAddress),
    ...some("url", attempt.url),
    ...time("nextAttemptAt", attempt.nextAttemptAt),
    times: {
      ...some("dnsMs", attempt.dnsMs),
      ...some("connectMs", attempt.connectMs),
      ...some("tlsMs", attempt.tlsMs),
      ...some("firstByteMs", attempt.firstByteMs),
      totalMs: attempt.durationMs,
    },
    willRetry: Boolean(attempt.nextAttemptAt),
  }));
  return create(DeliverySchema, { ...deliveryFields(detail), attempts } as MessageInitShape<typeof DeliverySchema>);
}

export function apiKeyMessage(apiKey: ApiKey, key?: string): ApiKeyMessage {
  return create(ApiKeySchema, {
    id: apiKey.id,
    name: apiKey.name,
    prefix: apiKey.prefix,
    createdAt: timestamp(apiKey.createdAt),
    ...time("lastUsedAt", apiKey.lastUsedAt),
    ...time("expiresAt", apiKey.expiresAt),
    ...(key === undefined ? {} : { issuedKey: { case: "key", value: key } }),
  });
}
