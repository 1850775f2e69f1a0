/** Requests that no call is made of, though they ask for an RPC: each is answered in the protocol in which it was asked. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, type UniversalHandler } from "@connectrpc/connect/protocol";
import { endStreamFlag, errorToJson } from "@connectrpc/connect/protocol-connect";
import { AppError } from "../errors.ts";
import { type Metadata, statusOf } from "../grpc/status.ts";
import { restError, toConnectError } from "../rpc/error-mapping.ts";
import { releaseBody, sendAnswer } from "../transcode/answer.ts";
import { isHttp2 } from "../transcode/http-exchange.ts";
import { type Exchange, sendError, sendJson, sendMethodNotAllowed, sendNotFound } from "./exchange.ts";

const GRPC = /^application\/grpc(?:\+[a-z]+)?$/;
const GRPC_OR_WEB = /^application\/grpc(?:-web(?:-text)?)?(?:\+[a-z]+)?$/;
const CONNECT_UNARY = /^application\/(?:json|proto)$/;
const CONNECT_STREAM = /^application\/connect\+(?:json|proto)$/;
/** `/package.Service/Method`: a POST of JSON elsewhere is nobody's RPC. */
const RPC_PATH = /^\/[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\/[A-Za-z_]\w*$/;

const UNARY_TYPES = "application/json, application/proto";
const STREAM_TYPES = "application/connect+json, application/connect+proto";

/** UNIMPLEMENTED to a client of gRPC, gRPC-Web or Connect, NOT_FOUND in the manner of REST to any other. */
export function sendUnknown(exchange: Exchange, path: string): void {
  const { request } = exchange;
  const type = mediaTypeOf(exchange);
  const isRpc =
    GRPC_OR_WEB.test(type) || (RPC_PATH.test(path) && (CONNECT_UNARY.test(type) || CONNECT_STREAM.test(type)));
  if (request.method === "POST" && isRpc) sendUnimplemented(exchange, type, `no RPC is served at ${path}`);
  else sendNotFound(exchange, path);
}

/**
 * Answers a request for an RPC whose HTTP method, content type, version of HTTP or encoding of messages is not taken, and
 * returns whether it has. `encoding` is the one that is taken besides identity.
 */
export function refuse(exchange: Exchange, handler: UniversalHandler, encoding: string): boolean {
  const { request } = exchange;
  const { method, allowedMethods } = handler;
  const type = mediaTypeOf(exchange);
  if (!allowedMethods.includes(request.method ?? "")) {
    sendMethodNotAllowed(exchange, allowedMethods.join(", "));
    return true;
  }
  if (request.method !== "POST") return false;
  if (!handler.supportedContentType(request.headers["content-type"] ?? "")) {
    const own = method.methodKind === "unary" ? UNARY_TYPES : STREAM_TYPES;
    const message = `the content-type of this RPC must be one of ${own}, application/grpc, application/grpc-web`;
    sendError(exchange, restError("UNSUPPORTED_MEDIA_TYPE", message));
    return true;
  }
  const needsHttp2 = neededBy(method, type);
  if (needsHttp2 !== undefined && !isHttp2(request)) {
    const message = `${needsHttp2} needs HTTP/2; use that, or gRPC-Web, Connect or REST for calls with one request`;
    sendError(exchange, restError("HTTP_VERSION_NOT_SUPPORTED", message), { connection: "close" });
    return true;
  }
  const prefix = encodingPrefix(type);
  const asked = request.headers[`${prefix}encoding`];
  if (asked === undefined || asked === "identity" || asked === encoding) return false;
  const message = `unknown compression "${asked}": supported encodings are ${encoding}`;
  sendUnimplemented(exchange, type, message, { [`${prefix.replace("content-", "")}accept-encoding`]: encoding });
  return true;
}

/** What comes before `encoding` in the name of the header that says how messages are compressed. */
function encodingPrefix(type: string): "grpc-" | "connect-content-" | "content-" {
  if (GRPC_OR_WEB.test(type)) return "grpc-";
  return CONNECT_STREAM.test(type) ? "connect-content-" : "content-";
}

function neededBy({ methodKind }: DescMethod, type: string): string | undefined {
  if (GRPC.test(type)) return "gRPC";
  return methodKind === "bidi_streaming" ? "a stream both ways" : undefined;
}

const mediaTypeOf = ({ request }: Exchange): string =>
  (request.headers["content-type"] ?? "").replace(/;.*$/s, "").trim().toLowerCase();

function sendUnimplemented(
  exchange: Exchange,
  type: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const error = toConnectError(new AppError("UNIMPLEMENTED", message));
  if (GRPC_OR_WEB.test(type)) sendTrailersOnly(exchange, { "content-type": type, ...headers, ...statusOf(error) });
  else if (CONNECT_STREAM.test(type)) sendEndOfStream(exchange, { "content-type": type, ...headers }, error);
  else sendJson(exchange, 501, errorToJson(error, undefined), headers);
}

/** A gRPC status without messages: it stands in the only HEADERS frame, which ends the stream. */
function sendTrailersOnly(exchange: Exchange, headers: Metadata): void {
  const { request, response } = exchange;
  if (!isHttp2(request)) {
    sendAnswer(exchange, { status: 200, headers, body: undefined });
    return;
  }
  // Headers that are not written before the end are sent with it, in one frame, which a reset would overtake.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end();
  setImmediate(releaseBody, exchange);
}

/** A Connect stream has its errors in its last message; clients do not read the body of another HTTP status. */
function sendEndOfStream(exchange: Exchange, headers: Metadata, error: ConnectError): void {
  const body = encodeEnvelope(endStreamFlag, Buffer.from(JSON.stringify({ error: errorToJson(error, undefined) })));
  sendAnswer(exchange, { status: 200, headers, body });
}
