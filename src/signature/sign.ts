/** Signs as a provider would: for test events, which then take the real receive path. */
import type { CompiledScheme, CompiledSource } from "./compile.ts";
import type { CompiledLookup, LookupPart } from "./lookup.ts";
import { type Draft, SigningError } from "./method.ts";
import { splitOnce } from "./template.ts";
import { writeTimestamp } from "./timestamp.ts";
import { withField } from "./with-field.ts";

export { SigningError } from "./method.ts";

export interface SignInput {
  /** The body that will be sent: JSON, into which a signature is put that stands in the body. */
  readonly body: Buffer;
  readonly type: string;
  readonly eventId: string;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** For schemes that sign them: default no URL, no target, POST. */
  readonly url?: string | undefined;
  readonly target?: string | undefined;
  readonly method?: string;
}

/** What the provider would send. */
export interface SignedRequest {
  /** By lower-case name; not content-type. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly url: string | undefined;
  readonly target: string | undefined;
}

/**
 * The request that this provider would make of `body`: with signature, timestamp, type and id where they are headers,
 * and its constant ones. A type or id that the provider keeps in the body must stand there already (see
 * `samplePayload`). Of several forms the first that the secret can key. Undefined where only the provider's private key
 * could sign; throws SigningError where the secret does not fit or a signed part is missing.
 */
export function sign(source: CompiledSource, secretText: string, input: SignInput): SignedRequest | undefined {
  if (!canSign(source)) return undefined;
  const scheme = jsonSchemes(source).find(({ method }) => method.secretProblem(secretText) === undefined);
  if (scheme === undefined) throw new SigningError(`the secret ${source.schemes[0].method.secretProblem(secretText)}`);
  if (scheme.method.sign === undefined) return undefined;
  const { body, url, target, method = "POST", nowMs } = input;
  const headers = new Map([...scheme.headers, ...identityHeaders(scheme, input)]);
  const draft: Draft = { headers, body, url, target, method, nowMs };
  scheme.method.sign(secretText, draft);
  return draft;
}

/**
 * A JSON body in which this source's type, id and timestamp stand where its preset looks for them: the payload
 * of a test event when none is given.
 */
export function samplePayload(source: CompiledSource, { type, eventId, nowMs }: Omit<SignInput, "body">): unknown {
  const [scheme = source.schemes[0]] = jsonSchemes(source);
  let payload: unknown;
  for (const [part, value] of [...spread(scheme.type[0], type), ...spread(scheme.id[0], eventId)]) {
    if (part.from === "body") payload = withField(payload, part.path, value);
    else if (part.from === "key" && part.matches(value)) payload = withField(payload, [value], {});
  }
  const { bodyTimestamp } = scheme.method;
  if (bodyTimestamp) {
    const stamp = writeTimestamp(bodyTimestamp.unit, nowMs);
    payload = withField(payload, bodyTimestamp.path, bodyTimestamp.unit === "iso" ? stamp : Number(stamp));
  }
  return payload ?? {};
}

/** Whether one of the source's forms can be signed with what a webhook's secret says. */
export function canSign(source: CompiledSource): boolean {
  return jsonSchemes(source).some(({ method }) => method.sign !== undefined);
}

/** The forms that a body of JSON can have. */
const jsonSchemes = ({ schemes }: CompiledSource): readonly CompiledScheme[] =>
  schemes.filter(({ body }) => body !== "form");

/** Type and id in every header in which they may stand. */
function identityHeaders(scheme: CompiledScheme, { type, eventId }: SignInput): readonly (readonly [string, string])[] {
  const parts = [
    ...scheme.type.flatMap((lookup) => spread(lookup, type)),
    ...scheme.id.flatMap((lookup) => spread(lookup, eventId)),
  ];
  return parts.flatMap(([part, value]) => (part.from === "header" ? [[part.name, value] as const] : []));
}

/** A joined lookup read backwards: each part but the last takes the text up to the next full stop. */
function spread(lookup: CompiledLookup | undefined, text: string) {
  const parts: (readonly [LookupPart, string])[] = [];
  let rest: string | undefined = text;
  for (const [index, part] of (lookup ?? []).entries()) {
    if (rest === undefined) break;
    const last = index + 1 === lookup?.length;
    const [head, tail]: readonly [string, string | undefined] = last ? [rest, undefined] : splitOnce(rest, ".");
    parts.push([part, head]);
    rest = tail;
  }
  return parts;
}
