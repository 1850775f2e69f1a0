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

  constructor(reason: Reason, check: Check | "disabled", message: string) {
    super(reason, message);
    this.check = check;
  }
}

/** A request as a trace shows it. */
export interface RefusedRequest {
  readonly webhookId: string;
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
  /** What refused it. */
  readonly check: string;
  readonly reason: string;
  readonly statusCode: number;
}

/** Bytes kept of a request. */
export interface TraceBytes {
  readonly traceBodyBytesMax: number;
  readonly traceHeaderBytesMax: number;
}

/** Whether the webhook's owner can do something about it: not where the server is full, or nobody is concerned. */
export const leavesTrace = ({ statusCode }: Refusal): boolean =>
  statusCode >= 400 && statusCode < 500 && statusCode !== 404;

/** The trace of a refused request, without what would prove a sender. */
export function traceOf(
  { record, source }: ReceivingWebhook,
  request: RefusedRequest,
  refusal: Refusal,
  nowMs: number,
  { traceBodyBytesMax, traceHeaderBytesMax }: TraceBytes,
): Trace {
  const { body } = request;
  const isShown = body !== undefined && !bodyHoldsCredential(source, body, request.contentType);
  return {
    ...refusal,
    organizationId: record.organizationId,
    webhookId: record.id,
    client: request.client,
    receivedAtMs: nowMs,
    method: request.method,
    remoteAddress: request.remoteAddress,
    headers: redactRefused(request.headers, source.credentialHeaders, traceHeaderBytesMax),
    // A copy: a view would hold the whole body in memory.
    body: isShown ? Buffer.from(body.subarray(0, traceBodyBytesMax)) : null,
    bodyTruncated: isShown && body.length > traceBodyBytesMax,
    size: request.size ?? null,
  };
}
