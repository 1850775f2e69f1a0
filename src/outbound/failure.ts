/** The closed list of reasons why an exchange failed, and which error is which. Pure. */
import { errors } from "undici";
import { ConnectionLostError } from "./connection.ts";
import { AbortedError, DeadlineError } from "./deadline.ts";
import { ConnectError } from "./dial.ts";
import { ProtocolError } from "./exchange.ts";
import { ClientBusyError } from "./http-client.ts";
import { ProxyError } from "./tunnel.ts";

/** Codes of failures, as stored and shown with attempts. */
export const FAILURE_CODES = [
  /** The host name does not resolve. */
  "dns",
  /** No connection: refused, unreachable, or no socket to be had. */
  "connect",
  /** The TLS handshake failed, or the certificate does not hold. */
  "tls",
  /** The egress proxy cannot be reached, or did not open a tunnel for a reason that is not the peer's. */
  "proxy",
  /** The deadline came before the response was complete. */
  "timeout",
  /** The name or an address of it is one that may not be reached. */
  "blocked_address",
  /** The peer closed the connection before the response was complete. */
  "reset",
  /** What came back is not HTTP/1.1, or exceeds the bounds of headers or interim responses. */
  "protocol",
  /** The URL cannot be used. */
  "invalid_url",
  /** The request's headers cannot be sent. */
  "invalid_request",
  /** Our own bound on connections kept the exchange from starting before its deadline; nothing was sent. */
  "busy",
  /** The caller's signal gave the exchange up, as on shutdown. */
  "aborted",
] as const;
export type FailureCode = (typeof FAILURE_CODES)[number];

/** A code and a sentence for people, without addresses of ours, paths or stacks. */
export interface Failure {
  readonly code: FailureCode;
  readonly message: string;
}

const CONNECT_MESSAGES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refused the connection",
  EHOSTUNREACH: "cannot be reached from here",
  ENETUNREACH: "cannot be reached from here",
  ETIMEDOUT: "did not answer the connection",
};

const CERTIFICATE_MESSAGES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "certificate has expired",
  CERT_NOT_YET_VALID: "certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "certificate is self-signed",
  ERR_TLS_CERT_ALTNAME_INVALID: "certificate is for another host name",
  SELF_SIGNED_CERT_IN_CHAIN: "certificate chain has a self-signed certificate",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "certificate is from an unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "certificate chain is incomplete",
};

/** What a peer says of our certificate, or of there being none, by OpenSSL's codes of TLS alerts. */
const ALERTS: readonly (readonly [code: RegExp, problem: string])[] = [
  [/ALERT_CERTIFICATE_REQUIRED$/, "requires a client certificate"],
  [
    /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(?:UNKNOWN|EXPIRED|REVOKED))$/,
    "does not accept our certificate",
  ],
];

/** llhttp's words for the end of the stream in the middle of a message; undici passes on no code of its. */
const PARSER_END_OF_STREAM = "Invalid EOF state";

/**
 * The failure that an error of the exchange, the connection or the client stands for. `peer` is how the message names
 * the other side ("The destination"). `hasStatus`: the response's headers had arrived whole.
 */
export function failureOf(error: unknown, peer: string, hasStatus = false): Failure {
  if (error instanceof DeadlineError) return { code: "timeout", message: error.message };
  if (error instanceof AbortedError) return { code: "aborted", message: "The attempt was given up." };
  if (error instanceof ClientBusyError) {
    return { code: "busy", message: "Too many other attempts were under way; nothing was sent." };
  }
  if (error instanceof ConnectError) return connectFailure(error, peer);
  if (error instanceof ProtocolError) return { code: "protocol", message: `${peer} sent ${error.message}.` };
  // The connection ended before the request: why it ended says more.
  if (error instanceof ConnectionLostError) return transportFailure(error.cause, peer, false);
  return transportFailure(error, peer, hasStatus);
}

function connectFailure(error: ConnectError, peer: string): Failure {
  const code = codeOf(error.cause);
  // A peer that accepts and resets at once is seen before or after the connection counts as made: one code for both.
  if (error.stage === "connect" && code === "ECONNRESET") return reset(peer);
  switch (error.stage) {
    case "blocked_address":
      return { code: "blocked_address", message: `${peer} has an address that deliveries may not reach.` };
    case "dns":
      return { code: "dns", message: `${peer}'s host name does not resolve.` };
    case "tls": {
      const problem = CERTIFICATE_MESSAGES[code];
      const failed = alertOf(code, peer) ?? `The TLS handshake with ${inSentence(peer)} failed.`;
      return { code: "tls", message: problem ? `${peer}'s ${problem}.` : failed };
    }
    case "proxy":
      return { code: "proxy", message: proxyProblem(error.cause, code) };
    case "connect": {
      if (error.cause instanceof ProxyError) {
        const message = `The egress proxy could not connect to ${inSentence(peer)} (status ${error.cause.status}).`;
        return { code: "connect", message };
      }
      const problem = CONNECT_MESSAGES[code];
      const message = problem ? `${peer} ${problem}.` : `No connection to ${inSentence(peer)} could be made.`;
      return { code: "connect", message };
    }
  }
}

function proxyProblem(error: unknown, code: string): string {
  const status = error instanceof ProxyError ? error.status : null;
  if (status !== null) return `The egress proxy refused the tunnel with status ${status}.`;
  return `The egress proxy ${CONNECT_MESSAGES[code] ?? "did not answer as a proxy should"}.`;
}

function transportFailure(error: unknown, peer: string, hasStatus: boolean): Failure {
  if (error instanceof errors.HeadersOverflowError) {
    return { code: "protocol", message: `${peer}'s response headers are too large.` };
  }
  if (error instanceof errors.InvalidArgumentError || error instanceof errors.NotSupportedError) {
    return { code: "invalid_request", message: "The request has a header that cannot be sent." };
  }
  if (isMalformed(error, hasStatus)) return { code: "protocol", message: `${peer}'s answer is not valid HTTP/1.1.` };
  if (/^ERR_(SSL|TLS)_/.test(codeOf(error))) {
    return { code: "tls", message: alertOf(codeOf(error), peer) ?? `The TLS connection to ${inSentence(peer)} broke.` };
  }
  return reset(peer);
}

const reset = (peer: string): Failure => ({
  code: "reset",
  message: `${peer} closed the connection before the response was complete.`,
});

function alertOf(code: string, peer: string): string | undefined {
  const alert = ALERTS.find(([pattern]) => pattern.test(code));
  return alert && `${peer} ${alert[1]}.`;
}

const inSentence = (peer: string): string => peer.charAt(0).toLowerCase() + peer.slice(1);

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
