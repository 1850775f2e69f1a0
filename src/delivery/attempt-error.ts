/** The closed list of reasons why an attempt did not succeed, and which error is which. Pure. */
import { errors } from "undici";
import { ConnectionLostError } from "./connection.ts";
import { ConnectError } from "./connector.ts";
import { ProtocolError } from "./exchange.ts";
import { ClientBusyError } from "./http-client.ts";

/** Error codes of attempts, as stored and shown. */
export const ATTEMPT_ERROR_CODES = [
  /** The destination's name does not resolve. */
  "dns",
  /** No connection: refused, unreachable, or no socket to be had. */
  "connect",
  /** The TLS handshake failed, or the certificate does not hold. */
  "tls",
  /** The deadline came before the response was complete, whatever its status was, if that was a 2xx. */
  "timeout",
  /** The destination's name or address is one that deliveries may not reach. */
  "blocked_address",
  /** The destination closed the connection before the response was complete. */
  "reset",
  /** A status other than 2xx, whether or not the body behind it ended. */
  "http_status",
  /** What came back is not HTTP/1.1, or exceeds the bounds of headers or interim responses. */
  "protocol",
  /** The destination's URL cannot be used. */
  "invalid_url",
  /** The request's headers cannot be sent. */
  "invalid_request",
  /** Our own bound on connections kept the attempt from starting before its deadline; nothing was sent. */
  "busy",
  /** The caller's signal gave the attempt up, as on shutdown. */
  "aborted",
  /** The event has passed too many gateways; judged before an attempt, never by one. */
  "too_many_hops",
  /** Our own fault kept the attempt from being made; nothing was sent. */
  "internal",
  /** History is kept no longer: the event is gone, or its delivery was still owed at the end; nothing was sent. */
  "expired",
  /** The worker died during the attempt; written by whoever takes the delivery over, never by an attempt itself. */
  "interrupted",
  /** The event has passed too many gateways already; nothing was sent. */
  "too_many_hops",
] as const;
export type AttemptErrorCode = (typeof ATTEMPT_ERROR_CODES)[number];

/** A code and a sentence for people, without addresses of ours, paths or stacks. */
export interface AttemptFailure {
  readonly code: AttemptErrorCode;
  readonly message: string;
}

/** The deadline of an attempt, as the reason of an abort. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/** The caller's own abort, as the reason of an abort. */
export class AttemptAbortedError extends Error {
  override readonly name = "AttemptAbortedError";
}

const CONNECT_MESSAGES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "The destination refused the connection.",
  EHOSTUNREACH: "The destination cannot be reached from here.",
  ENETUNREACH: "The destination cannot be reached from here.",
  ETIMEDOUT: "The destination did not answer the connection.",
};

const TLS_MESSAGES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "The destination's certificate has expired.",
  CERT_NOT_YET_VALID: "The destination's certificate is not valid yet.",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The destination's certificate is self-signed.",
  ERR_TLS_CERT_ALTNAME_INVALID: "The destination's certificate is for another host name.",
  SELF_SIGNED_CERT_IN_CHAIN: "The destination's certificate chain has a self-signed certificate.",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The destination's certificate is from an unknown authority.",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "The destination's certificate chain is incomplete.",
};

const RESET_MESSAGE = "The destination closed the connection before the response was complete.";
const PROTOCOL_MESSAGE = "The destination's answer is not valid HTTP/1.1.";

/** llhttp's words for the end of the stream in the middle of a message; undici passes on no code of its. */
const PARSER_END_OF_STREAM = "Invalid EOF state";

/**
 * The failure that an error of the exchange, the connection or the client stands for. `hasStatus`: the response's
 * headers had arrived whole.
 */
export function failureOf(error: unknown, hasStatus = false): AttemptFailure {
  if (error instanceof DeadlineError) return { code: "timeout", message: error.message };
  if (error instanceof AttemptAbortedError) return { code: "aborted", message: "The attempt was given up." };
  if (error instanceof ClientBusyError) {
    return { code: "busy", message: "Too many other attempts were under way; nothing was sent." };
  }
  if (error instanceof ConnectError) return connectFailure(error);
  if (error instanceof ProtocolError) {
    return { code: "protocol", message: `The destination sent ${error.message}.` };
  }
  // The connection ended before the request: why it ended says more.
  if (error instanceof ConnectionLostError) return transportFailure(error.cause, false);
  return transportFailure(error, hasStatus);
}

function connectFailure(error: ConnectError): AttemptFailure {
  const code = codeOf(error.cause);
  // A peer that accepts and resets at once is seen before or after the connection counts as made: one code for both.
  if (error.stage === "connect" && code === "ECONNRESET") return { code: "reset", message: RESET_MESSAGE };
  switch (error.stage) {
    case "blocked_address":
      return { code: "blocked_address", message: "The destination has an address that deliveries may not reach." };
    case "dns":
      return { code: "dns", message: "The destination's host name does not resolve." };
    case "tls":
      return { code: "tls", message: TLS_MESSAGES[code] ?? "The TLS handshake with the destination failed." };
    case "connect":
      return { code: "connect", message: CONNECT_MESSAGES[code] ?? "No connection to the destination could be made." };
  }
}

function transportFailure(error: unknown, hasStatus: boolean): AttemptFailure {
  if (error instanceof errors.HeadersOverflowError) {
    return { code: "protocol", message: "The destination's response headers are too large." };
  }
  if (error instanceof errors.InvalidArgumentError || error instanceof errors.NotSupportedError) {
    return { code: "invalid_request", message: "The request has a header that cannot be sent." };
  }
  if (isMalformed(error, hasStatus)) return { code: "protocol", message: PROTOCOL_MESSAGE };
  if (/^ERR_(SSL|TLS)_/.test(codeOf(error))) {
    return { code: "tls", message: "The TLS connection to the destination broke." };
  }
  return { code: "reset", message: RESET_MESSAGE };
}

function isMalformed(error: unknown, hasStatus: boolean): boolean {
  if (error instanceof errors.HTTPParserError) return !error.message.includes(PARSER_END_OF_STREAM);
  // Within a body: its end came before its length. Within headers: their lengths contradict each other.
  if (error instanceof errors.ResponseContentLengthMismatchError) return !hasStatus;
  // "bad response" and "bad upgrade", unlike "other side closed".
  return error instanceof errors.SocketError && error.message.startsWith("bad ");
}

/** An error's code; of several attempted addresses, the first's. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
