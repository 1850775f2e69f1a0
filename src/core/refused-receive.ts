/** Refusals of receives, and what is kept of a request that was refused, or was a handshake. */
import { AppError, type Reason } from "../errors.ts";
import { bodyHoldsCredential } from "../signature/credentials.ts";
import type { Check } from "../signature/verdict.ts";
import type { HeaderList } from "../store/entities/event.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { redactRefused } from "./redact-headers.ts";
import type { Trace } from "./traces.ts";

/**
 * What refuses a receive: a check of its signature, the webhook's status, that nobody waits for its secret, or that what
 * it wants confirmed could not be.
 */
export type ReceiveCheck = Check | "disabled" | "capture" | "confirmation";

/** The check of a trace that is no refusal: the request was a handshake, and has been answered. */
export const HANDSHAKE = "handshake";

/** A receive that its webhook refuses for what the request is, or while it is disabled. */
export class RefusedReceive extends AppError {
  readonly check: ReceiveCheck;
  /** The webhook that refuses, where it is known. */
  readonly webhookId: string | undefined;

  constructor(reason: Reason, check: ReceiveCheck, message: string, webhookId?: string) {
    super(reason, message);
    this.check = check;
    this.webhookId = webhookId;
  }
}

/** A request as a trace shows it. */
export interface TracedRequest {
  readonly method: string;
  readonly headers: HeaderList;
  readonly contentType: string | null;
  /** Undefined where it was not read. */
  readonly body: Buffer | undefined;
  /** Bytes of the body, as read or declared; undefined where neither is known. */
  readonly size: number | undefined;
  readonly remote: { readonly address: string; readonly client: string };
}

/** How a request was answered that became no event. */
export interface TracedAnswer {
  /** The webhook that it was for; undefined where nobody knows. */
  readonly webhookId: string | undefined;
  /** What refused it, or HANDSHAKE. */
  readonly check: string;
  readonly reason: string;
  readonly statusCode: number;
}

/** Whether it concerns the webhook's owner: not where the server is full, or there is no webhook. */
export const leavesTrace = ({ check, statusCode }: TracedAnswer): boolean =>
  check === HANDSHAKE || check === "confirmation" || (statusCode >= 400 && statusCode < 500 && statusCode !== 404);

/** The trace of a request that became no event, without what would prove a sender; of headers and body at most so many bytes each. */
export function traceOf(
  { record, source }: ReceivingWebhook,
  request: TracedRequest,
  answer: TracedAnswer,
  nowMs: number,
  contentBytesMax: number,
): Trace {
  const { body } = request;
  const { check, reason, statusCode } = answer;
  const isShown = body !== undefined && check !== HANDSHAKE && !bodyHoldsCredential(source, body, request.contentType);
  return {
    check,
    reason,
    statusCode,
    organizationId: record.organizationId,
    webhookId: record.id,
    client: request.remote.client,
    receivedAtMs: nowMs,
    method: request.method,
    remoteAddress: request.remote.address,
    headers: redactRefused(request.headers, source.credentialHeaders, contentBytesMax),
    // A copy: a view would hold the whole body in memory.
    body: isShown ? Buffer.from(body.subarray(0, contentBytesMax)) : null,
    bodyTruncated: isShown && body.length > contentBytesMax,
    size: request.size ?? null,
  };
}
