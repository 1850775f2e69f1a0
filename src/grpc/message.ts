/**
 * The spelling of `grpc-message` ("Percent-Encoded" in the gRPC over HTTP/2 protocol): of the UTF-8 text, `%` and the
 * bytes outside 0x20–0x7E are escaped, and nothing else. Clients that decode with decodeURI, as @grpc/grpc-js does,
 * leave escapes of `:`, `,` and the like as they are.
 */

/** Escapes in the output of encodeURIComponent that stand for one byte in 0x20–0x7F. */
const ASCII_ESCAPE = /%[2-7][0-9A-F]/g;
const KEPT = new Set(["%25", "%7F"]);

export const encodeGrpcMessage = (message: string): string =>
  withoutNeedlessEscapes(encodeURIComponent(message.toWellFormed()));

/** A value that escapes more than it has to, as Connect's do, in the specified spelling. */
export const withoutNeedlessEscapes = (value: string): string =>
  value.replace(ASCII_ESCAPE, (it) => (KEPT.has(it) ? it : decodeURIComponent(it)));
