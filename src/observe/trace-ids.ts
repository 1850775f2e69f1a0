/**
 * Ids of traces and spans (W3C Trace Context). They follow from those of events and deliveries, so that a retry hours
 * later, by another replica, belongs to the trace of its event although nothing was stored for it. Pure.
 */

/** Hexadecimal digits of a trace id that decide about sampling: as many random bits as a double holds exactly. */
const SAMPLED_DIGITS = 13;

/** The trace of an event: the id itself, without its hyphens. The last 62 bits of a UUIDv7 are random. */
export const traceIdOf = (eventId: string): string => eventId.replaceAll("-", "");

/** The span of the receive that recorded the event: the random half of its id. */
export const receiveSpanIdOf = (eventId: string): string => traceIdOf(eventId).slice(16);

/** The span of an attempt: the random half of its delivery's id, and its number. */
export function attemptSpanIdOf(deliveryId: string, attemptNumber: number): string {
  const half = BigInt(`0x${traceIdOf(deliveryId).slice(16)}`);
  return BigInt.asUintN(64, half + BigInt(attemptNumber))
    .toString(16)
    .padStart(16, "0");
}

/** Whether a trace is among the share of them that is kept, 0 to 1: the same for all its spans, whoever makes them. */
export function isSampled(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-SAMPLED_DIGITS), 16) < ratio * 16 ** SAMPLED_DIGITS;
}

/** A span of somebody else's. */
export interface RemoteSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The span that a `traceparent` names; undefined where it is malformed. Later versions may add to what 00 has. */
export function parseTraceparent(value: string): RemoteSpan | undefined {
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(value) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === "00" && more !== undefined) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export const formatTraceparent = ({ traceId, spanId, sampled }: RemoteSpan): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
