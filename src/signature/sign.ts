/** Signs as a provider would: for test events, which then take the real receive path. */
import type { CompiledLookup, CompiledScheme, CompiledSource, CompiledTimestamp } from "./compile.ts";
import { parseKey } from "./key.ts";
import { fillTemplate, splitOnce } from "./template.ts";
import { isRefusal } from "./verdict.ts";
import { computeDigest } from "./verify.ts";

export interface SignInput {
  /** The exact bytes that will be sent. */
  readonly body: Buffer;
  readonly type: string;
  readonly eventId: string;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** For schemes that sign them: default no URL, POST. */
  readonly url?: string;
  readonly method?: string;
}

export interface SignedHeader {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
}

/** A request cannot be signed as asked. The message contains neither secret nor signature. */
export class SigningError extends Error {
  override readonly name = "SigningError";
}

/**
 * The headers that this provider would send with `body`: signature, timestamp, type and id where they are
 * headers, and its constant ones; not content-type. A type or id that the provider keeps in the body must stand
 * there already (see `samplePayload`). `custom` uses the first of its forms that the secret can key. Throws
 * SigningError where the secret does not fit, a signed part is missing, or the signature belongs in the body.
 */
export function sign(source: CompiledSource, secretText: string, input: SignInput): readonly SignedHeader[] {
  const { scheme, key } = chooseKey(source, secretText);
  const { signature, timestamp } = scheme;
  const [place] = signature.places;
  if (place.from === "body") throw new SigningError(`source ${source.name} keeps its signature in the body`);
  const headers = new Map<string, string>(scheme.headers);
  for (const [name, value] of identityHeaders(scheme, input)) headers.set(name, value);
  const stamp = timestamp && writeTimestamp(timestamp.unit, input.nowMs);
  if (timestamp?.place.from === "header" && stamp !== undefined) headers.set(timestamp.place.name, stamp);
  const request = {
    header: (name: string) => headers.get(name),
    body: input.body,
    method: input.method ?? "POST",
    url: input.url,
  };
  const parts = fillTemplate(scheme.content, request, stamp);
  if (isRefusal(parts)) throw new SigningError(parts.reason);
  const digest = computeDigest(scheme, key, parts).toString(scheme.encoding);
  headers.set(place.name, writeSignature(scheme, digest, stamp));
  return [...headers].map(([name, value]) => ({ name, value }));
}

/**
 * A JSON body in which this source's type, id and timestamp stand where its preset looks for them: the payload
 * of a test event when none is given.
 */
export function samplePayload(source: CompiledSource, { type, eventId, nowMs }: Omit<SignInput, "body">): unknown {
  const [scheme] = source.schemes;
  let payload: unknown = {};
  for (const [place, value] of [...spread(scheme.type[0], type), ...spread(scheme.id[0], eventId)]) {
    if (place.from === "body") payload = withField(payload, place.path, value);
  }
  if (scheme.timestamp?.place.from === "body") {
    const stamp = writeTimestamp(scheme.timestamp.unit, nowMs);
    const value = scheme.timestamp.unit === "iso" ? stamp : Number(stamp);
    payload = withField(payload, scheme.timestamp.place.path, value);
  }
  return payload;
}

function chooseKey(source: CompiledSource, secretText: string) {
  let problem = "";
  for (const scheme of source.schemes) {
    const parsed = parseKey(scheme.key, secretText);
    if (parsed.ok) return { scheme, key: parsed.key };
    problem = parsed.problem;
  }
  throw new SigningError(`the secret ${problem}`);
}

function identityHeaders(scheme: CompiledScheme, { type, eventId }: SignInput): readonly (readonly [string, string])[] {
  return [...spread(scheme.type[0], type), ...spread(scheme.id[0], eventId)].flatMap(([place, value]) =>
    place.from === "header" ? [[place.name, value] as const] : [],
  );
}

/** A joined lookup read backwards: each part but the last takes the text up to the next full stop. */
function spread(lookup: CompiledLookup | undefined, text: string) {
  const parts: (readonly [CompiledLookup[number], string])[] = [];
  let rest: string | undefined = text;
  for (const [index, place] of (lookup ?? []).entries()) {
    if (rest === undefined) break;
    const last = index + 1 === lookup?.length;
    const [head, tail]: readonly [string, string | undefined] = last ? [rest, undefined] : splitOnce(rest, ".");
    parts.push([place, head]);
    rest = tail;
  }
  return parts;
}

function writeTimestamp(unit: CompiledTimestamp["unit"], nowMs: number): string {
  if (unit === "iso") return new Date(nowMs).toISOString();
  return String(Math.floor(unit === "s" ? nowMs / 1000 : nowMs));
}

function writeSignature({ signature, timestamp }: CompiledScheme, digest: string, stamp: string | undefined): string {
  const { kv, key, item, prefix } = signature;
  const signed = kv === undefined ? `${prefix}${digest}` : `${key}${kv}${prefix}${digest}`;
  if (timestamp?.place.from !== "sig") return signed;
  return `${timestamp.place.name}${kv}${stamp}${item}${signed}`;
}

/** `target` with the value at the path; a step of digits makes an array. */
function withField(target: unknown, [step, ...rest]: readonly string[], value: unknown): unknown {
  if (step === undefined) return value;
  const empty: unknown = /^\d+$/.test(step) ? [] : {};
  const container = (typeof target === "object" && target !== null ? target : empty) as Record<string, unknown>;
  container[step] = withField(container[step], rest, value);
  return container;
}
