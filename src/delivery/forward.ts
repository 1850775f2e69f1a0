/** One attempt of one delivery: what is sent, and what became of it. */
import { buildForwardHeaders, HOPS_MAX, hopsOf } from "../core/forward-headers.ts";
import type { ReceivingWebhook } from "../core/receiving-webhook.ts";
import { NO_TIMES } from "../outbound/request.ts";
import { signPrepared } from "../signature/outbound.ts";
import type { EventContent } from "../store/sql/lookup.ts";
import { type AttemptContext, type AttemptResult, performAttempt } from "./attempt.ts";
import type { AttemptErrorCode } from "./attempt-error.ts";

const LOOP = `the event has passed ${HOPS_MAX} gateways; forwarding it again would be a loop`;

/** What every attempt shares. Times in milliseconds, sizes in bytes. */
export interface ForwardSettings extends AttemptContext {
  readonly timeoutMs: number;
  readonly responseBodyBytesMax: number;
  readonly responseHeaderBytesMax: number;
  readonly version: string;
}

/** An attempt that was made, or refused before anything was sent. */
export interface Forwarded {
  /** What made the request's headers; null where nothing was sent. */
  readonly senderVersion: string | null;
  /** Names of the webhook's own headers and credentials that were sent; null: it has none. */
  readonly credentialHeaders: readonly string[] | null;
  readonly result: AttemptResult;
}

/** Sends the event to `url`, signed with the webhook's forward secrets; unverified events go unsigned. */
export async function forward(
  event: EventContent,
  target: {
    readonly webhook: ReceivingWebhook;
    readonly url: string;
    readonly number: number;
    readonly traceparent: string | null;
  },
  settings: ForwardSettings,
  signal: AbortSignal,
): Promise<Forwarded> {
  const nowMs = settings.clock.now();
  if (hopsOf(event.headers) >= HOPS_MAX)
    return { senderVersion: null, credentialHeaders: null, result: resultOfNothing(nowMs, "too_many_hops", LOOP) };
  const timestampSeconds = Math.floor(nowMs / 1_000);
  const keys = target.webhook.forwardKeys(nowMs);
  const { credentials } = target.webhook;
  const headers = buildForwardHeaders(
    { id: event.id, type: event.type ?? "", headers: event.headers },
    {
      webhookId: target.webhook.record.id,
      attemptNumber: target.number,
      timestampSeconds,
      signature: event.verified ? signPrepared(keys, event.id, timestampSeconds, event.body) : null,
      version: settings.version,
      credentialHeaders: target.webhook.source.credentialHeaders,
      traceparent: target.traceparent,
    },
  );
  const result = await performAttempt(
    {
      url: target.url,
      headers,
      body: event.body,
      timeoutMs: target.webhook.rules.timeoutMs ?? settings.timeoutMs,
      responseBodyBytesMax: settings.responseBodyBytesMax,
      responseHeaderBytesMax: settings.responseHeaderBytesMax,
      access: credentials && { destinationId: target.webhook.record.id, credentials },
      signal,
    },
    settings,
  );
  return {
    senderVersion: settings.version,
    credentialHeaders: credentials?.headerNames ?? null,
    result: { ...result, startedAtMs: nowMs },
  };
}

/** The result of an attempt that sent nothing. */
export function resultOfNothing(startedAtMs: number, errorCode: AttemptErrorCode, errorMessage: string): AttemptResult {
  return {
    startedAtMs,
    durationMs: 0,
    times: NO_TIMES,
    statusCode: null,
    errorCode,
    errorMessage,
    responseHeaders: [],
    responseBody: Buffer.alloc(0),
    responseTruncated: false,
    remoteAddress: null,
    retryAfterMs: null,
  };
}
