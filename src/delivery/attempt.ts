/** One try of a delivery: one request under one deadline. A remote failure is a result, never an exception. */
import type { Clock } from "../clock.ts";
import { BLOCKED_RULES, checkDestinationUrl } from "../security/url-policy.ts";
import {
  AttemptAbortedError,
  type AttemptErrorCode,
  type AttemptFailure,
  DeadlineError,
  failureOf,
} from "./attempt-error.ts";
import { type Exchange, exchange, type Header } from "./exchange.ts";
import { ClientBusyError, type HttpClient } from "./http-client.ts";
import { parseRetryAfter } from "./retry-after.ts";

/** Response header bytes kept with an attempt unless the input says otherwise; each line counts with ": " and CRLF. */
export const RESPONSE_HEADER_BYTES_MAX = 8 * 1024;

/** Longest deadline, milliseconds: what a timer can hold. */
const TIMEOUT_MS_MAX = 2_147_483_647;

export interface AttemptInput {
  /** Default POST; a GET has no body. */
  readonly method?: "GET" | "POST";
  readonly url: string;
  /** The final list, as made by `buildForwardHeaders`; Host and Content-Length are added here. */
  readonly headers: readonly Header[];
  readonly body: Buffer;
  /** One deadline over waiting for a connection, connecting, sending, headers and body; milliseconds. */
  readonly timeoutMs: number;
  /** Response body bytes kept. */
  readonly responseBodyBytesMax: number;
  readonly responseHeaderBytesMax?: number;
  /** Gives the attempt up (`aborted`). */
  readonly signal: AbortSignal;
}

export interface AttemptResult {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  /** Monotonic, whole milliseconds. */
  readonly durationMs: number;
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

export interface AttemptContext {
  readonly client: HttpClient;
  readonly clock: Clock;
}

const NO_EXCHANGE: Exchange = Object.freeze({
  statusCode: null,
  headers: [],
  retryAfter: null,
  body: Buffer.alloc(0),
  truncated: false,
  error: null,
  reusable: false,
});

/**
 * Sends the request and reads the answer. At most one request goes onto the wire. Never throws and never rejects.
 * - 2xx and complete, or cut at responseBodyBytesMax: success; where cut, the rest is not read and the connection
 *   is closed.
 * - 2xx and then a reset or the deadline: `reset` or `timeout`, with the status; the destination did not finish.
 * - any other status: `http_status`, even if its body breaks off or never ends. Redirects are not followed.
 */
export async function performAttempt(input: AttemptInput, context: AttemptContext): Promise<AttemptResult> {
  const startedAtMs = context.clock.now();
  const startedMs = performance.now();
  const { response, failure, remoteAddress } = await tryOnce(input, context);
  const retryable = response.statusCode === 429 || response.statusCode === 503;
  return {
    startedAtMs,
    durationMs: Math.round(performance.now() - startedMs),
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

interface Tried {
  readonly response: Exchange;
  readonly failure: AttemptFailure | null;
  readonly remoteAddress: string | null;
}

async function tryOnce(input: AttemptInput, { client }: AttemptContext): Promise<Tried> {
  const check = checkDestinationUrl(input.url, client.policy);
  if (!check.ok) {
    const code = BLOCKED_RULES.has(check.rule) ? "blocked_address" : "invalid_url";
    return notTried({ code, message: `The destination's URL ${check.message}.` });
  }
  const stop = stopSignal(input);
  try {
    const connection = await client.acquire(check.url, stop.signal).catch((error: unknown) => asBusy(error));
    if (connection instanceof Error) return notTried(failureOf(connection));
    const response = await exchange(
      connection,
      {
        method: input.method ?? "POST",
        path: check.url.pathname + check.url.search,
        headers: input.headers,
        body: input.body,
        responseBodyBytesMax: input.responseBodyBytesMax,
        responseHeaderBytesMax: input.responseHeaderBytesMax ?? RESPONSE_HEADER_BYTES_MAX,
      },
      stop.signal,
    );
    const { remoteAddress } = connection;
    client.release(connection, response.reusable);
    return { response, failure: judge(response), remoteAddress };
  } finally {
    stop.clear();
  }
}

function judge(response: Exchange): AttemptFailure | null {
  const { statusCode, error } = response;
  if (statusCode !== null && (statusCode < 200 || statusCode > 299)) {
    const note = statusCode >= 300 && statusCode <= 399 ? " Redirects are not followed." : "";
    return { code: "http_status", message: `The destination answered with status ${statusCode}.${note}` };
  }
  return error === null ? null : failureOf(error, statusCode !== null);
}

function notTried(failure: AttemptFailure): Tried {
  return { response: NO_EXCHANGE, failure, remoteAddress: null };
}

/** A deadline that comes while waiting for a connection is our own shortage, not the destination's silence. */
function asBusy(error: unknown): Error {
  if (error instanceof DeadlineError) return new ClientBusyError("no connection was free before the deadline");
  return error instanceof Error ? error : new ClientBusyError("no connection");
}

/** One signal for the deadline and the caller's abort; `clear` lets go of both. */
function stopSignal(input: AttemptInput): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  const timeoutMs = Math.min(Math.max(input.timeoutMs, 0), TIMEOUT_MS_MAX);
  const onDeadline = () => controller.abort(new DeadlineError(`The exchange was not complete within ${timeoutMs} ms.`));
  const onAbort = () => controller.abort(new AttemptAbortedError("given up"));
  const timer = setTimeout(onDeadline, timeoutMs);
  input.signal.addEventListener("abort", onAbort, { once: true });
  if (input.signal.aborted) onAbort();
  return {
    signal: controller.signal,
    clear: () => {
      clearTimeout(timer);
      input.signal.removeEventListener("abort", onAbort);
    },
  };
}
