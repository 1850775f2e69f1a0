/** Answers to requests for what is not served, each in the protocol in which it was asked. */
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag } from "@connectrpc/connect/protocol-connect";
import { encodeGrpcMessage } from "../grpc/message.ts";
import { releaseBody, sendAnswer } from "../transcode/answer.ts";
import { isHttp2 } from "../transcode/http-exchange.ts";
import { type Exchange, sendJson, sendNotFound } from "./exchange.ts";

const GRPC = /^application\/grpc(?:-web(?:-text)?)?(?:\+[a-z]+)?$/;
const CONNECT_UNARY = /^application\/(?:json|proto)$/;
const CONNECT_STREAM = /^application\/connect\+(?:json|proto)$/;
/** `/package.Service/Method`: a POST of JSON elsewhere is nobody's RPC. */
const RPC_PATH = /^\/[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\/[A-Za-z_]\w*$/;

const GRPC_UNIMPLEMENTED = "12";

/** UNIMPLEMENTED to a client of gRPC, gRPC-Web or Connect, NOT_FOUND in the manner of REST to any other. */
export function sendUnknown(exchange: Exchange, path: string): void {
  const { request } = exchange;
  const type = mediaType(request.headers["content-type"]);
  const error = { code: "unimplemented", message: `no RPC is served at ${path}` };
  if (request.method !== "POST") sendNotFound(exchange, path);
  else if (GRPC.test(type)) sendTrailersOnly(exchange, type, error.message);
  else if (!RPC_PATH.test(path)) sendNotFound(exchange, path);
  else if (CONNECT_UNARY.test(type)) sendJson(exchange, 501, error);
  else if (CONNECT_STREAM.test(type)) sendEndOfStream(exchange, type, error);
  else sendNotFound(exchange, path);
}

const mediaType = (header: string | undefined): string => (header ?? "").replace(/;.*$/s, "").trim().toLowerCase();

/** A gRPC status without messages: it stands in the only HEADERS frame, which ends the stream. */
function sendTrailersOnly(exchange: Exchange, type: string, message: string): void {
  const { request, response } = exchange;
  const headers = {
    "content-type": type,
    "grpc-status": GRPC_UNIMPLEMENTED,
    "grpc-message": encodeGrpcMessage(message),
  };
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
function sendEndOfStream(exchange: Exchange, type: string, error: object): void {
  const body = encodeEnvelope(endStreamFlag, Buffer.from(JSON.stringify({ error })));
  sendAnswer(exchange, { status: 200, headers: { "content-type": type }, body });
}
