/** Refusals of receives, and what is kept of a request that was refused. */
import { AppError, type Reason } from "../errors.ts";
import { bodyHoldsCredential } from "../signature/credentials.ts";
import type { Check } from "../signature/verdict.ts";
import type { HeaderList } from "../store/entities/event.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { redactRefused } from "./redact-headers.ts";
import type { Trace } from "./traces.ts";

/** A receive that its webhook refuses for what the request is, or while it is disabled. */
export class RefusedReceive extends AppError {
  readonly check: Check | "disabled";
  /** The webhook that refuses, where it is known. */
  readonly webhookId: string | undefined;

  constructor(reason: Reason, check: Check | "disabled", message: string, webhookId?: string) {
    super(reason, message);
    this.check = check;
    this.webhookId = webhookId;
  }
}

/** A request as a trace shows it. */
export interface RefusedRequest {
  readonly method: string;
  readonly headers: HeaderList;
  readonly contentType: string | null;
  /** Undefined where it was not read. */
  readonly body: Buffer | undefined;
  /** Bytes of the body, as read or declared; undefined where neither is known. */
  readonly size: number | undefined;
  /** Where it came from, and the client as the caps count it. */
  readonly remoteAddress: string;
  readonly client: string;
}

/** How a request was answered. */
export interface Refusal {
  /** The webhook that it was for; undefined where nobody knows. */
  readonly webhookId: string | undefined;
  /** What refused it. */
  readonly check: string;
  readonly reason: string;
  readonly statusCode: number;
}

/** Whether the webhook's owner can do something about it: not where the server is full, or nobody is concerned. */
export const leavesTrace = ({ statusCode }: Refusal): boolean =>
  statusCode >= 400 && statusCode < 500 && statusCode !== 404;

/** The trace of a refused request, without what would prove a sender; of headers and body at most so many bytes each. */
export function traceOf(
  { record, source }: ReceivingWebhook,
  request: RefusedRequest,
  refusal: Refusal,
  nowMs: number,
  contentBytesMax: number,
): Trace {
  const { body } = request;
  const { check, reason, statusCode } = refusal;
  const isShown = body !== undefined && !bodyHoldsCredential(source, body, request.contentType);
  return {
    check,
    reason,
    statusCode,
    organizationId: record.organizationId,
    webhookId: record.id,
    client: request.client,
    receivedAtMs: nowMs,
    method: request.method,
    remoteAddress: request.remoteAddress,
    headers: redactRefused(request.headers, source.credentialHeaders, contentBytesMax),
    // A copy: a view would hold the whole body in memory.
    body: isShown ? Buffer.from(body.subarray(0, contentBytesMax)) : null,
    bodyTruncated: isShown && body.length > contentBytesMax,
    size: request.size ?? null,
  };
}
