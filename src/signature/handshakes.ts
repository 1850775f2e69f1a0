/** Finding a handshake in a request, and answering those that take nothing but the webhook's secret. Pure. */
import { sameText } from "../security/constant-time.ts";
import type { CompiledSource } from "./compile.ts";
import type {
  CaptureSecret,
  CompiledCondition,
  Condition,
  ConfirmUrl,
  EchoBounds,
  Handshake,
  HmacAnswer,
} from "./handshake.ts";
import { digestOf } from "./hmac.ts";
import { parseKeys, secretPart, wholeForm } from "./key.ts";
import { bodyField, type InboundRequest } from "./request.ts";
import { isRefusal, type Refusal, refusal } from "./verdict.ts";

/** Largest body of a handshake that is not signed, bytes. */
export const HANDSHAKE_BODY_BYTES_MAX = 16_384;

/** What is sent back. */
export interface HandshakeReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** What was done, in words for the webhook's owner. */
  readonly summary: string;
}

/** A handshake that its request and the webhook's secret suffice to answer. */
export type PlainHandshake = Exclude<Handshake, CaptureSecret | ConfirmUrl>;

const TEXT_PLAIN = { "content-type": "text/plain; charset=utf-8" };
const JSON_TYPE = { "content-type": "application/json" };
const CHARS = { token: /^[A-Za-z0-9._~+/=-]+$/, text: /^[\x20-\x7e]+$/ };

/** The source's first handshake that the request is, among those that are signed or those that are not. */
export function findHandshake(
  source: CompiledSource,
  request: InboundRequest,
  { signed }: { signed: boolean },
): Handshake | undefined {
  if (!signed && request.body.length > HANDSHAKE_BODY_BYTES_MAX) return undefined;
  return source.handshakes.find(
    (handshake) =>
      handshake.signed === signed &&
      handshake.method === request.method &&
      handshake.when.every((condition) => holds(condition, request)),
  );
}

/** Whether an unsigned POST may be a handshake, as far as its head tells. */
export function mayBeHandshake(
  source: CompiledSource,
  head: Omit<InboundRequest, "body">,
  bodyBytes: number | undefined,
): boolean {
  if ((bodyBytes ?? 0) > HANDSHAKE_BODY_BYTES_MAX) return false;
  const request = { ...head, body: Buffer.alloc(0) };
  return source.handshakes.some(
    ({ signed, method, when }) =>
      !signed && method === "POST" && when.every((condition) => condition.from === "body" || holds(condition, request)),
  );
}

/** What a request lacks for the handshakes of its method, in words; undefined where the source has none. */
export function describeUnmet(source: CompiledSource, method: string): string | undefined {
  const names = source.handshakes
    .filter((handshake) => handshake.method === method)
    .map(({ when }) => when.map((condition) => condition.name).join(" and "));
  return names.length === 0 ? undefined : `a ${method} at this URL needs ${names.join(", or ")}`;
}

/**
 * Whether the body could be a token that an unsigned handshake signs for anybody: a signature of it proves nothing, so
 * it is no event.
 */
export function couldBeSignedForAnybody(source: CompiledSource, body: Buffer): boolean {
  return source.handshakes.some(
    (handshake) =>
      handshake.kind === "hmac-answer" &&
      !handshake.signed &&
      body.length <= handshake.charsMax &&
      CHARS[handshake.chars].test(body.toString("latin1")),
  );
}

/** The answer, or why there is none. `secrets` are those in force, the newest first. */
export function replyTo(
  handshake: PlainHandshake,
  source: CompiledSource,
  request: InboundRequest,
  secrets: readonly string[],
): HandshakeReply | Refusal {
  switch (handshake.kind) {
    case "echo-query": {
      const { parameter, verifyTokenParameter } = handshake;
      const unproven = verifyTokenParameter && checkVerifyToken(verifyTokenParameter, source, request, secrets);
      if (unproven) return unproven;
      const value = boundedValue({ from: "query", name: parameter }, handshake, request);
      return isRefused(value) ? value : reply(TEXT_PLAIN, value, `${parameter} was sent back`);
    }
    case "echo-json": {
      const value = boundedValue({ from: "body", name: handshake.field }, handshake, request);
      return isRefused(value) ? value : reply(TEXT_PLAIN, value, `${handshake.field} was sent back`);
    }
    case "echo-header": {
      const value = boundedValue({ from: "header", name: handshake.header }, handshake, request);
      if (isRefused(value)) return value;
      return reply(JSON_TYPE, JSON.stringify({ [handshake.answerField]: value }), `${handshake.header} was sent back`);
    }
    case "hmac-answer":
      return hmacReply(handshake, source, request, secrets);
    case "ping": {
      const { status, body = "", contentType } = handshake.answer;
      const headers = contentType === undefined ? {} : { "content-type": contentType };
      return { status, headers, body, summary: "a ping was answered" };
    }
  }
}

/** A value that may be sent back or kept: one text, within the bounds. */
export function boundedValue(
  place: Pick<Condition, "from" | "name">,
  { charsMax, chars }: EchoBounds,
  request: InboundRequest,
): string | Refusal {
  const value = valueAt(place, request);
  if (value === undefined) return refusal("missing_field", `${place.name} is missing`);
  if (typeof value !== "string" || value.length > charsMax || !CHARS[chars].test(value)) {
    const kind = chars === "token" ? "letters, digits and ._~+/=-" : "printable ASCII characters";
    return refusal("malformed_field", `${place.name} must be 1 to ${charsMax} ${kind}`);
  }
  return value;
}

export const isRefused = (value: string | Refusal | undefined): value is Refusal =>
  typeof value === "object" && isRefusal(value);

function hmacReply(
  handshake: HmacAnswer,
  source: CompiledSource,
  request: InboundRequest,
  secrets: readonly string[],
): HandshakeReply | Refusal {
  const { token, prefix, enc, digestField, tokenField } = handshake;
  const value = boundedValue(token, handshake, request);
  if (isRefused(value)) return value;
  const parsed = parseKeys(source.handshakeKey, secrets[0] ?? "");
  if (!parsed.ok) return refusal("secret", "the webhook has no active secret that could answer");
  const digest = prefix + digestOf("sha256", parsed.key[0], [value]).toString(enc);
  const members = tokenField === undefined ? {} : { [tokenField]: value };
  return reply(JSON_TYPE, JSON.stringify({ ...members, [digestField]: digest }), `${token.name} was answered`);
}

function checkVerifyToken(
  parameter: string,
  source: CompiledSource,
  request: InboundRequest,
  secrets: readonly string[],
): Refusal | undefined {
  const shown = valueAt({ from: "query", name: parameter }, request);
  const known = secrets.flatMap((text) => secretPart(source.handshakeKey, text, "verify-token") ?? []);
  if (known.length === 0) {
    const form = `the secret must be ${wholeForm(source.handshakeKey)}`;
    return refusal("secret", `the webhook's secret has no part to compare ${parameter} with: ${form}`);
  }
  const matches = known.map((token) => sameText(token, typeof shown === "string" ? shown : ""));
  return matches.includes(true) ? undefined : refusal("signature", `${parameter} is not that of the webhook's secret`);
}

function holds({ equals, ...place }: CompiledCondition, request: InboundRequest): boolean {
  const value = valueAt(place, request);
  return equals === undefined ? value !== undefined && value !== null : value === equals;
}

function valueAt(
  { from, name, path }: Pick<Condition, "from" | "name"> & Partial<CompiledCondition>,
  request: InboundRequest,
): unknown {
  switch (from) {
    case "header":
      return request.header(name);
    case "body":
      return bodyField(request, path ?? name.split("."));
    case "query": {
      const { target = "" } = request;
      const [value, second] = new URLSearchParams(target.slice(target.indexOf("?") + 1)).getAll(name);
      // Of several it would be anybody's guess which one is meant.
      return target.includes("?") && second === undefined ? value : undefined;
    }
  }
}

const reply = (headers: Readonly<Record<string, string>>, body: string, summary: string): HandshakeReply => ({
  status: 200,
  headers,
  body,
  summary,
});
