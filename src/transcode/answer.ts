/** Writing answers, and what becomes of a request body that nobody read. */
import { constants } from "node:http2";
import { declaredBodyBytes, type Exchange, expectsToBeAsked, type HttpResponse, isHttp2 } from "./http-exchange.ts";

/** Declared bodies up to this many bytes are read and thrown away, to keep the connection. */
const DRAIN_BYTES_MAX = 65_536;
/** For larger ones the connection is closed, after the client had this long, and this many bytes, to see the answer. */
const LINGER_MS_MAX = 1_000;
const LINGER_BYTES_MAX = 4_194_304;

/** Connection-level headers (RFC 9110 section 7.6.1, RFC 9113 section 8.2.2) and those that the transcoder sets. */
const OWN_HEADERS = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const NOTHING = new Uint8Array();

export type AnswerHeaders = Record<string, string | number | string[]>;

/** A complete answer. */
export interface Answer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: Uint8Array | string | undefined;
}

/** Headers that an RPC set, without those that are not its business. */
export function passedHeaders(headers: Headers | undefined): AnswerHeaders {
  const passed: AnswerHeaders = {};
  if (headers === undefined) return passed;
  for (const [name, value] of headers) {
    if (!OWN_HEADERS.has(name)) {
      passed[name] = name === "set-cookie" ? headers.getSetCookie() : value;
    }
  }
  return passed;
}

/** Sends an answer; for HEAD without its body. Does nothing where the client is gone. */
export function sendAnswer(exchange: Exchange, answer: Answer): void {
  const { request, response } = exchange;
  const bodyless = answer.status === 204 || answer.status === 304;
  const headers: AnswerHeaders = { ...answer.headers, "x-content-type-options": "nosniff" };
  if (!bodyless) {
    headers["content-length"] = Buffer.byteLength(answer.body ?? NOTHING);
  }
  if (isGone(response)) {
    return;
  }
  const body = bodyless || request.method === "HEAD" ? undefined : answer.body;
  if (startHead(exchange, answer.status, headers)) {
    if (body !== undefined) {
      writeChunk(exchange, body);
    }
    lingerThenEnd(exchange);
    return;
  }
  // Text leaves in one write with the head; bytes take two.
  const sink: { end(chunk: Uint8Array | string): unknown } = response;
  sink.end(body ?? NOTHING);
  releaseBody(exchange);
}

/** Whether nothing that is written can reach the client any more. */
export function isGone(response: HttpResponse): boolean {
  return response.writableEnded || ("stream" in response ? response.stream?.destroyed !== false : response.destroyed);
}

/** Writes status and headers. Returns whether the connection must close because too much of the body is unread. */
export function startHead(exchange: Exchange, status: number, headers: AnswerHeaders): boolean {
  const isHttp1 = !isHttp2(exchange.request);
  const linger = isHttp1 && hasLargeRest(exchange);
  // A client that is too slow would go on with its body (RFC 9110 section 15.5.9).
  if (linger || (isHttp1 && status === 408)) {
    headers.connection = "close";
  }
  const head: { writeHead(status: number, headers: AnswerHeaders): unknown } = exchange.response;
  head.writeHead(status, headers);
  return linger;
}

/** Writes a piece of the body. Returns false if the client should be waited for. */
export function writeChunk(exchange: Exchange, chunk: Uint8Array | string): boolean {
  const sink: { write(chunk: Uint8Array | string): boolean } = exchange.response;
  return sink.write(chunk);
}

/** Lets go of a body that nobody read, so that the connection (HTTP/2: only the stream) is free for the next request. */
export function releaseBody({ request }: Exchange): void {
  const isBodyless = declaredBodyBytes(request) === 0;
  if (!isHttp2(request)) {
    if (!isBodyless) request.resume();
    return;
  }
  // A paused stream that holds unread bytes would stay for ever, closed or not.
  request.resume();
  if (request.readableEnded || isBodyless) return;
  const { stream } = request;
  const close = () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  // Only after a complete answer (RFC 9113 section 8.1): sooner, the reset takes the end of it away.
  if (stream.writableFinished) close();
  else stream.once("finish", close);
}

function hasLargeRest({ request }: Exchange): boolean {
  const declared = declaredBodyBytes(request);
  // Whether a body will come that was not asked for, only the client knows: the connection is of no further use.
  const mayBeLarge = declared === undefined || declared > DRAIN_BYTES_MAX || expectsToBeAsked(request);
  return !request.complete && mayBeLarge;
}

/**
 * Keeps reading for a while before the connection closes: bytes that arrive at a closed socket make the kernel send
 * a reset, which can destroy the answer before the client has read it.
 */
function lingerThenEnd({ request, response }: Exchange): void {
  let size = 0;
  const timer = setTimeout(end, LINGER_MS_MAX);
  function onData(chunk: Buffer): void {
    size += chunk.length;
    if (size > LINGER_BYTES_MAX) {
      end();
    }
  }
  function end(): void {
    clearTimeout(timer);
    request.off("data", onData).off("end", end).off("close", end);
    response.end();
  }
  request.on("data", onData).on("end", end).on("close", end);
  request.resume();
}

/** Breaks the exchange off, where the head is sent and no error can be told any more. */
export function breakOff({ response }: Exchange): void {
  if ("stream" in response) {
    response.stream?.close(constants.NGHTTP2_INTERNAL_ERROR);
  } else {
    response.destroy();
  }
}
