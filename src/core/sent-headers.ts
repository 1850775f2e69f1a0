/** The request headers of an attempt, as they follow from its event, its number and time, and who made them. Pure. */
import type { Delivery, DeliveryAttempt } from "../store/entities/delivery.ts";
import type { Event, HeaderList } from "../store/entities/event.ts";
import { buildForwardHeaders } from "./forward-headers.ts";
import { REDACTED } from "./redact-headers.ts";

/** What was sent, in order; signatures and credentials redacted. Empty where nothing was; null `event`: it is gone. */
export function sentHeaders(
  delivery: Delivery,
  attempt: DeliveryAttempt,
  { event, traceparent }: { readonly event: Event | null; readonly traceparent: string | null },
): HeaderList {
  if (!attempt.senderVersion) return [];
  // What was redacted on receiving was not passed on.
  const received = (event?.headers ?? []).filter(([, value]) => value !== REDACTED);
  const forwarded = buildForwardHeaders(
    { id: delivery.eventId, type: delivery.eventType ?? "", headers: received },
    {
      webhookId: delivery.webhookId,
      attemptNumber: attempt.number,
      timestampSeconds: Math.floor(attempt.startedAt.getTime() / 1_000),
      signature: event?.verified ? REDACTED : null,
      version: attempt.senderVersion,
      traceparent,
    },
  );
  const own = attempt.credentialHeaders ?? [];
  return [
    ...connectionHeaders(attempt.url),
    ...forwarded.flatMap(([name, value]): HeaderList => {
      if (own.includes(name)) return [];
      return [[name, name.includes("signature") ? REDACTED : value]];
    }),
    ...own.map((name): [string, string] => [name, REDACTED]),
    ...(event ? [["content-length", String(event.size)] as [string, string]] : []),
  ];
}

/** What HTTP/1.1 adds to each request. */
function connectionHeaders(url: string | null | undefined): HeaderList {
  const parsed = URL.parse(url ?? "");
  if (parsed === null) return [];
  // Sent without the trailing dot of a fully qualified name.
  const host = parsed.host.replace(/\.(?=:|$)/, "");
  return [
    ["host", host],
    ["connection", "keep-alive"],
  ];
}
