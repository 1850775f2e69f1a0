/** One request under the guard: URL check, connection, exchange. A remote failure is a result, never an exception. */
import { BLOCKED_RULES, checkDestinationUrl } from "../security/url-policy.ts";
import type { Connection, ExchangeTimes } from "./connection.ts";
import { DeadlineError } from "./deadline.ts";
import { type ClientCertificate, ConnectError, NO_CONNECT } from "./dial.ts";
import { type Exchange, exchange, type Header } from "./exchange.ts";
import { type Failure, failureOf } from "./failure.ts";
import { ClientBusyError, type HttpClient } from "./http-client.ts";
import { ProxyError } from "./tunnel.ts";

/** Response header bytes kept unless the request says otherwise; each line counts with ": " and CRLF. */
export const RESPONSE_HEADER_BYTES_MAX = 8 * 1024;

export interface OutboundRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  /** Host and Content-Length are added. */
  readonly headers: readonly Header[];
  readonly body: Buffer;
  /** Response bytes kept. */
  readonly responseBodyBytesMax: number;
  readonly responseHeaderBytesMax?: number;
  /** Shown to the peer; default: none. */
  readonly certificate?: ClientCertificate | undefined;
}

export interface OutboundResult {
  readonly response: Exchange;
  /** null: a response of any status that was complete, or cut at the bound of its body. */
  readonly failure: Failure | null;
  /** The address connected to; null if no connection was made. */
  readonly remoteAddress: string | null;
  readonly times: ExchangeTimes;
}

/** The times of what did not take place. */
export const NO_TIMES: ExchangeTimes = Object.freeze({ ...NO_CONNECT, firstByteMs: null });

/** The answer of what was not sent. */
export const NO_EXCHANGE: Exchange = Object.freeze({
  statusCode: null,
  headers: [],
  retryAfter: null,
  body: Buffer.alloc(0),
  truncated: false,
  error: null,
  reusable: false,
});

/**
 * Sends the request and reads the answer until `signal` (of a `Deadline`) aborts. At most one request goes onto the
 * wire; redirects are not followed. `peer` is how failures name the other side. Never rejects.
 */
export async function sendRequest(
  client: HttpClient,
  request: OutboundRequest,
  signal: AbortSignal,
  peer: string,
): Promise<OutboundResult> {
  const check = checkDestinationUrl(request.url, client.policy);
  if (!check.ok) {
    const code = BLOCKED_RULES.has(check.rule) ? "blocked_address" : "invalid_url";
    return notSent({ code, message: `${peer}'s URL ${check.message}.` });
  }
  const connection = await client
    .acquire({ url: check.url, certificate: request.certificate }, signal)
    .catch((error: unknown) => asBusy(error));
  if (connection instanceof Error) return notSent(failureOf(connection, peer));
  const { responseHeaderBytesMax = RESPONSE_HEADER_BYTES_MAX } = request;
  const path = check.url.pathname + check.url.search;
  const response = await exchange(connection, { ...request, path, responseHeaderBytesMax }, signal);
  const { remoteAddress, times } = connection;
  const error = response.error === null ? null : reasonOf(response.error, connection);
  client.release(connection, response.reusable);
  const failure = error === null ? null : failureOf(error, peer, response.statusCode !== null);
  return { response, failure, remoteAddress, times };
}

/** What the connection knows better than the exchange that failed on it. */
function reasonOf(error: unknown, { alert, waitsForProxy }: Connection): unknown {
  const late = waitsForProxy && error instanceof DeadlineError;
  return late ? new ConnectError("proxy", new ProxyError(null, { code: "ETIMEDOUT" })) : (alert ?? error);
}

const notSent = (failure: Failure): OutboundResult => ({
  response: NO_EXCHANGE,
  failure,
  remoteAddress: null,
  times: NO_TIMES,
});

/** A deadline that comes while waiting for a connection is our own shortage, not the peer's silence. */
function asBusy(error: unknown): Error {
  if (error instanceof DeadlineError) return new ClientBusyError("no connection was free before the deadline");
  return error instanceof Error ? error : new ClientBusyError("no connection");
}
