/** Requests and responses of both HTTP versions, and the ways in which the edge answers by itself. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { type RestError, restError } from "../rpc/error-mapping.ts";

export type EdgeRequest = IncomingMessage | Http2ServerRequest;
export type EdgeResponse = ServerResponse<IncomingMessage> | Http2ServerResponse;
export type Exchange = (request: EdgeRequest, response: EdgeResponse) => void;

/** Sends a JSON answer with its length. A response whose headers are out already is left alone. */
export function sendJson(
  response: EdgeResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) return;
  const bytes = Buffer.from(JSON.stringify(body));
  // Both kinds take these arguments, but their overloads differ.
  (response as ServerResponse).writeHead(status, {
    "content-type": "application/json",
    "content-length": String(bytes.length),
    "x-content-type-options": "nosniff",
    ...headers,
  });
  (response as ServerResponse).end(bytes);
}

export function sendError(
  response: EdgeResponse,
  error: RestError,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendJson(response, error.status, error.body, { ...error.headers, ...headers });
}

export function sendNotFound(response: EdgeResponse, path: string): void {
  sendError(response, restError("NOT_FOUND", `nothing is served at ${path}`));
}

export function sendMethodNotAllowed(response: EdgeResponse, allow: string): void {
  sendError(response, restError("METHOD_NOT_ALLOWED", `this path takes ${allow}`), { allow });
}
