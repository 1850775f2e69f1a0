/** One try of a delivery: a POST under one deadline. A remote failure is a result, never an exception. */
import type { Clock } from "../clock.ts";
import type { ExchangeTimes } from "../outbound/connection.ts";
import { openDeadline } from "../outbound/deadline.ts";
import type { Header } from "../outbound/exchange.ts";
import { sendRequest } from "../outbound/request.ts";
import { type Access, type AccessContext, type Sent, sendWithAccess } from "./access.ts";
import type { AttemptErrorCode, AttemptFailure } from "./attempt-error.ts";
import { parseRetryAfter } from "./retry-after.ts";

/** How messages of failures name the other side. */
const PEER = "The destination";

export interface AttemptInput {
  readonly url: string;
  /** The final list, as made by `buildForwardHeaders`; Host and Content-Length are added. */
  readonly headers: readonly Header[];
  readonly body: Buffer;
  /** One deadline over waiting for a connection, connecting, sending, headers and body; milliseconds. */
  readonly timeoutMs: number;
  /** Response body bytes kept. */
  readonly responseBodyBytesMax: number;
  readonly responseHeaderBytesMax?: number;
  /** What the destination wants to see besides; null: nothing. */
  readonly access: Access | null;
  /** Gives the attempt up (`aborted`). */
  readonly signal: AbortSignal;
}

export interface AttemptResult {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  /** Monotonic, whole milliseconds: everything, waiting for a connection included. */
  readonly durationMs: number;
  readonly times: ExchangeTimes;
  /** null: no status line came. */
  readonly statusCode: number | null;
  /** null: a 2xx whose response was complete, or longer than what is kept. */
  readonly errorCode: AttemptErrorCode | null;
  /** A sentence for people; null exactly when errorCode is. */
  readonly errorMessage: string | null;
  readonly responseHeaders: readonly Header[];
  readonly responseBody: Buffer;
  /** The body is longer than what is kept, or did not end. */
  readonly responseTruncated: boolean;
  /** The address connected to; null if no connection was made. */
  readonly remoteAddress: string | null;
  /** What Retry-After asks for on a 429 or 503 (RFC 9110 §10.2.3), from now, milliseconds; null: nothing. */
  readonly retryAfterMs: number | null;
}

export interface AttemptContext extends AccessContext {
  readonly clock: Clock;
}

/**
 * POSTs the body and reads the answer. At most one request goes onto the wire, or a second one where the first was
 * refused with a token that had expired. Never throws and never rejects.
 * - 2xx and complete, or cut at responseBodyBytesMax: success; where cut, the rest is not read and the connection
 *   is closed.
 * - 2xx and then a reset or the deadline: `reset` or `timeout`, with the status; the destination did not finish.
 * - any other status: `http_status`, even if its body breaks off or never ends. Redirects are not followed.
 */
export async function performAttempt(input: AttemptInput, context: AttemptContext): Promise<AttemptResult> {
  const startedAtMs = context.clock.now();
  const startedMs = performance.now();
  const deadline = openDeadline(input.timeoutMs, input.signal);
  const request = { ...input, method: "POST" } as const;
  const sent: Sent =
    input.access === null
      ? await sendRequest(context.client, request, deadline.signal, PEER)
      : await sendWithAccess(context, request, input.access, deadline.signal, PEER);
  deadline.clear();
  const { response, remoteAddress, times } = sent;
  const failure = judge(sent);
  const retryable = response.statusCode === 429 || response.statusCode === 503;
  return {
    startedAtMs,
    durationMs: Math.round(performance.now() - startedMs),
    times,
    statusCode: response.statusCode,
    errorCode: failure?.code ?? null,
    errorMessage: failure?.message ?? null,
    responseHeaders: response.headers,
    responseBody: response.body,
    responseTruncated: response.statusCode !== null && response.truncated,
    remoteAddress,
    retryAfterMs:
      retryable && response.retryAfter !== null ? parseRetryAfter(response.retryAfter, context.clock.now()) : null,
  };
}

function judge({ response: { statusCode }, failure }: Sent): AttemptFailure | null {
  if (statusCode === null || (statusCode >= 200 && statusCode <= 299)) return failure;
  const note = statusCode >= 300 && statusCode <= 399 ? " Redirects are not followed." : "";
  return { code: "http_status", message: `${PEER} answered with status ${statusCode}.${note}` };
}
