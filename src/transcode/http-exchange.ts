/** What the transcoder needs to know of a request and a response, the same for HTTP/1.1 and HTTP/2. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { badRequest } from "./transcode-error.ts";

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

export interface Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
}

/** A Host that may stand in a URL: a name or an address, and a port. */
const AUTHORITY = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i;
/** A value of `x-server-timeout`: seconds, at most nine digits, with fractions. */
const TIMEOUT_SECONDS = /^\d{1,9}(?:\.\d{1,9})?$/;
/** The longest delay that a Node timer keeps. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Splits the request target into its undecoded path and its query (both forms of RFC 9112 section 3.2.1 and .2). */
export function splitTarget(url: string): { path: string; query: string } {
  const target = targetOf({ url });
  const mark = target.indexOf("?");
  return mark === -1 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** Path and query as the client wrote them, of a request in either form of target (RFC 9112, 3.2). */
export function targetOf({ url = "/" }: Pick<HttpRequest, "url">): string {
  return url.startsWith("/") ? url : url.replace(ABSOLUTE_FORM, "");
}

/** The absolute URL that the caller asked for, as far as its Host can be believed to be one. */
export function requestUrl(request: HttpRequest): string {
  const { headers } = request;
  const authority = ":authority" in headers ? headers[":authority"] : headers.host;
  const host = typeof authority === "string" && AUTHORITY.test(authority) ? authority : "localhost";
  const { path, query } = splitTarget(request.url ?? "/");
  const scheme = "encrypted" in request.socket && request.socket.encrypted === true ? "https" : "http";
  return `${scheme}://${host}${path}${query === "" ? "" : `?${query}`}`;
}

/**
 * The deadline that `x-server-timeout` (seconds) asks for, in milliseconds and at most `timeoutMsMax`; undefined
 * without the header. Throws TranscodeError on anything but a decimal number.
 */
export function requestTimeoutMs(headers: IncomingHttpHeaders, timeoutMsMax: number): number | undefined {
  const value = headers["x-server-timeout"];
  if (value === undefined) {
    return undefined;
  }
  if (typeof value !== "string" || !TIMEOUT_SECONDS.test(value)) {
    throw badRequest("x-server-timeout must be a number of seconds");
  }
  return Math.min(Math.ceil(Number(value) * 1_000), timeoutMsMax, TIMER_MS_MAX);
}

/** Length of the request's body in bytes by its headers: 0 for none, undefined where it is not declared. */
export function declaredBodyBytes(request: HttpRequest): number | undefined {
  const declared = request.headers["content-length"];
  if (declared !== undefined) {
    return Number(declared);
  }
  if ("stream" in request) {
    return request.stream.endAfterHeaders ? 0 : undefined;
  }
  return request.headers["transfer-encoding"] === undefined ? 0 : undefined;
}

export function isHttp2(request: HttpRequest): request is Http2ServerRequest {
  return request.httpVersionMajor === 2;
}

/** Whether the client waits to be asked for its body (RFC 9110 section 10.1.1). */
export function expectsToBeAsked(request: HttpRequest): boolean {
  return request.httpVersion !== "1.0" && /(?:^|,)\s*100-continue\s*(?:,|$)/i.test(request.headers.expect ?? "");
}

/** Asks a client that waits for that to send its body. To be called when the body is about to be read. */
export function askForBody({ request, response }: Exchange): void {
  if (expectsToBeAsked(request) && !response.headersSent) {
    response.writeContinue();
  }
}
