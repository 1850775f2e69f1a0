/** Requests and responses of both HTTP versions, and the ways in which the edge answers by itself. */
import type { IncomingHttpHeaders } from "node:http";
import { HTTP_STATUS, type RestError, restError, toRestError } from "../rpc/error-mapping.ts";
import { sendAnswer } from "../transcode/answer.ts";
import type { Exchange, HttpRequest, HttpResponse } from "../transcode/http-exchange.ts";
import { TranscodeError } from "../transcode/transcoder.ts";

export {
  askForBody,
  declaredBodyBytes,
  type Exchange,
  expectsToBeAsked,
  type HttpRequest,
  type HttpResponse,
} from "../transcode/http-exchange.ts";

/** Answers one request, in either HTTP version. */
export type RequestHandler = (request: HttpRequest, response: HttpResponse) => void;

/** What is known of a request before its body, and of a bare stream. */
export interface RequestHead {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean | undefined };
  /** HTTP/2's `:authority`. */
  readonly authority?: string | undefined;
}

/** Sends a JSON answer with its length, and lets go of a body that nobody has read. */
export function sendJson(
  exchange: Exchange,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (exchange.response.headersSent) return;
  const text = JSON.stringify(body);
  sendAnswer(exchange, { status, headers: { "content-type": "application/json", ...headers }, body: text });
}

export function sendError(exchange: Exchange, error: RestError, headers: Readonly<Record<string, string>> = {}): void {
  sendJson(exchange, error.status, error.body, { ...error.headers, ...headers });
}

export function sendNotFound(exchange: Exchange, path: string): void {
  sendError(exchange, restError("NOT_FOUND", `nothing is served at ${path}`));
}

export function sendMethodNotAllowed(exchange: Exchange, allow: string): void {
  sendError(exchange, restError("METHOD_NOT_ALLOWED", `this path takes ${allow}`), { allow });
}

/** The REST form of whatever went wrong, on the way to a use case or in it. */
export function encodeError(error: unknown): RestError {
  if (!(error instanceof TranscodeError)) return toRestError(error);
  const rest = restError(error.code, error.message, error.violations);
  return { ...rest, status: HTTP_STATUS[error.code], headers: { ...rest.headers, ...error.headers } };
}
