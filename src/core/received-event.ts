/** What those who run the service are told of an event that was acknowledged. */
import type { ReceivedEvent } from "../observe/records.ts";
import type { ReceiveRow } from "../store/sql/receive.ts";
import type { Recorded } from "./event-recorder.ts";
import type { Inbound } from "./inbound.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";

export function receivedEvent(
  row: ReceiveRow,
  recorded: Recorded,
  { webhook, inbound, stages }: { webhook: ReceivingWebhook; inbound: Inbound; stages: ReceivedEvent["stages"] },
): ReceivedEvent {
  const isRepeat = recorded.kind === "repeat";
  const recordedAs = row.status === "filtered" ? "filtered" : "recorded";
  return {
    outcome: isRepeat ? "duplicate" : recordedAs,
    eventId: isRepeat ? recorded.eventId : row.eventId,
    organizationId: row.organizationId,
    webhookId: row.webhookId,
    source: webhook.source.name,
    type: row.type,
    scheme: row.scheme,
    verified: row.verified,
    synthetic: row.synthetic,
    bytes: row.body.length,
    deliveryId: isRepeat ? null : (row.delivery?.id ?? null),
    stages,
    traceparent: () => inbound.request.header("traceparent"),
  };
}
