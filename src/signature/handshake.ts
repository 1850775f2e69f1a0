/**
 * Handshakes as data: requests by which a provider tries the URL and which are answered rather than recorded as plain
 * events. Bounds stand here too, so that no handshake answers what a stranger may choose freely.
 */
import type { SignatureEncoding } from "./scheme.ts";
import type { SuccessAnswer } from "./success-answer.ts";

/** Something that must hold for a request to be this handshake. */
export interface Condition {
  /** A parameter of the query, a header, or a field (dotted path) of the JSON body. */
  readonly from: "query" | "header" | "body";
  readonly name: string;
  /** The value that it must have. Default: it must be there. */
  readonly equals?: string | number;
}

interface HandshakeBase {
  readonly method: "GET" | "HEAD" | "POST";
  /** Whether the request is signed as events are, and verified before it is answered. */
  readonly signed: boolean;
  /** All of them must hold. */
  readonly when: readonly Condition[];
}

/** Bounds of a value that is sent back. */
export interface EchoBounds {
  readonly charsMax: number;
  /** `token`: letters, digits and `._~+/=-`; `text`: printable ASCII. */
  readonly chars: "token" | "text";
}

/** Sends a parameter of the query back as text/plain, `nosniff`. */
export interface EchoQuery extends HandshakeBase, EchoBounds {
  readonly kind: "echo-query";
  readonly parameter: string;
  /** The parameter that must equal the `verify-token` part of the webhook's secret. */
  readonly verifyTokenParameter?: string;
}

/** Sends a field of the JSON body back as text/plain, `nosniff`. */
export interface EchoJson extends HandshakeBase, EchoBounds {
  readonly kind: "echo-json";
  /** Dotted path. */
  readonly field: string;
}

/** Sends a header's value back in a JSON object. */
export interface EchoHeader extends HandshakeBase, EchoBounds {
  readonly kind: "echo-header";
  readonly header: string;
  /** The member of the answer that holds it. */
  readonly answerField: string;
}

/**
 * Answers with the HMAC-SHA256 of a short token under the webhook's secret. The token's bounds keep this from signing
 * what could be an event.
 */
export interface HmacAnswer extends HandshakeBase, EchoBounds {
  readonly kind: "hmac-answer";
  readonly token: { readonly from: "query" | "body"; readonly name: string };
  readonly enc: SignatureEncoding;
  /** Literal text before the digest. */
  readonly prefix: string;
  /** Members of the JSON answer: the digest, and the token itself where the provider wants it back. */
  readonly digestField: string;
  readonly tokenField?: string;
}

/**
 * The provider brings the secret. It is taken only while the owner has opened a window for it, one in each window, and
 * counts once the owner confirms it.
 */
export interface CaptureSecret extends HandshakeBase, EchoBounds {
  readonly kind: "capture-secret";
  readonly secret: { readonly from: "header" | "body"; readonly name: string };
  /** The header of the answer that must repeat it. */
  readonly echoHeader?: string;
}

/** Answered with a constant, and otherwise nothing. */
export interface Ping extends HandshakeBase {
  readonly kind: "ping";
  readonly answer: SuccessAnswer;
}

/** Confirmed by fetching a URL that the signed body names, at the vendor's own hosts only. */
export interface ConfirmUrl extends HandshakeBase {
  readonly kind: "confirm-url";
  /** Dotted path of the field that holds the URL. */
  readonly field: string;
  /** Matches the whole of a host name of the vendor's; the scheme is https, the port its own. */
  readonly host: RegExp;
}

/** A condition whose name, where it is a path, need not be taken apart for each request. */
export interface CompiledCondition extends Condition {
  readonly path: readonly string[];
}

export type CompiledHandshake = { readonly when: readonly CompiledCondition[] } & Handshake;

export function compileHandshake(handshake: Handshake): CompiledHandshake {
  return { ...handshake, when: handshake.when.map((condition) => ({ ...condition, path: condition.name.split(".") })) };
}

export type Handshake = EchoQuery | EchoJson | EchoHeader | HmacAnswer | CaptureSecret | Ping | ConfirmUrl;
