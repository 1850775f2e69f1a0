/** The value (or values) of a signature header → decoded signatures and the timestamp that stands among them. */
import type { CompiledPlace, CompiledScheme, CompiledSignature } from "./compile.ts";
import { bodyField, type InboundRequest } from "./request.ts";
import { splitOnce } from "./template.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Most signatures that are tried in one request. */
export const SIGNATURES_MAX = 16;
/** Longest value of a signature header, and most items in it; what lies past them is refused unread. */
export const SIGNATURE_CHARS_MAX = 8_192;
export const SIGNATURE_ITEMS_MAX = 64;

export const DIGEST_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const;

export interface SignatureList {
  /** Digests of exactly the algorithm's length; at least one. */
  readonly digests: readonly Buffer[];
  /** The timestamp's text, where it stands in the list. */
  readonly timestamp: string | undefined;
}

/** Whether the request has a value where the scheme's signatures stand. */
export function hasSignature(scheme: CompiledScheme, request: InboundRequest): boolean {
  return scheme.signature.places.some((place) => placeText(place, request) !== undefined);
}

/** Reads every signature of the request. Refuses what is missing, malformed or beyond the bounds. */
export function readSignatures(scheme: CompiledScheme, request: InboundRequest): SignatureList | Refusal {
  const { signature, timestamp } = scheme;
  const timestampKey = timestamp?.place.from === "sig" ? timestamp.place.name : undefined;
  const digests: Buffer[] = [];
  const timestamps = new Set<string>();
  let found = 0;
  for (const place of signature.places) {
    const value = placeText(place, request);
    if (value === undefined) continue;
    const pairs = readPairs(signature, value);
    if (pairs === undefined) return refusal("malformed_signature", `${place.name} is too long`);
    for (const [key, text] of pairs) {
      if (key === timestampKey) timestamps.add(text);
      if (key !== signature.key) continue;
      found += 1;
      const digest = decodeSignature(scheme, text);
      if (digest !== undefined) digests.push(digest);
    }
  }
  const names = signature.places.map((place) => place.name).join(", ");
  if (found > SIGNATURES_MAX) {
    return refusal("malformed_signature", `${names} holds more than ${SIGNATURES_MAX} signatures`);
  }
  if (digests.length === 0) {
    return refusal("malformed_signature", `${names} holds no signature of the form ${signatureForm(scheme)}`);
  }
  if (timestamps.size > 1) return refusal("timestamp", `${names} holds different timestamps`);
  const [stamp] = timestamps;
  return { digests, timestamp: stamp };
}

/** The text at a place; undefined where there is none or it is empty. */
export function placeText(place: CompiledPlace, request: InboundRequest): string | undefined {
  const value = place.from === "header" ? request.header(place.name) : bodyField(request, place.path);
  return typeof value === "string" && value !== "" ? value : undefined;
}

type Pair = readonly [key: string, text: string];

/** Items as key and text; without keys the key is "" and the prefix is taken off. Undefined beyond the bounds. */
function readPairs({ kv, prefix, separator }: CompiledSignature, value: string): readonly Pair[] | undefined {
  if (value.length > SIGNATURE_CHARS_MAX) return undefined;
  const items = value.split(separator, SIGNATURE_ITEMS_MAX + 1);
  if (items.length > SIGNATURE_ITEMS_MAX) return undefined;
  return items.flatMap((item): readonly Pair[] => {
    const text = item.trim();
    if (kv === ",") return commaPairs(text);
    if (kv === "=") {
      const [key, signature] = splitOnce(text, "=");
      return signature === undefined ? [] : [[key.trim(), unprefixed(signature.trim(), prefix)]];
    }
    return text === "" ? [] : [["", unprefixed(text, prefix)]];
  });
}

/** `v1,AAA` and, where repeated headers were joined, `v1,AAA,v1,BBB`. A comma at the end is such a joint, too. */
function commaPairs(item: string): readonly Pair[] {
  const words = item.split(",").filter((word) => word !== "");
  const pairs: Pair[] = [];
  for (let index = 0; index + 1 < words.length; index += 2) pairs.push([words[index] ?? "", words[index + 1] ?? ""]);
  return pairs;
}

/** Empty text, which decodes to no signature, where the prefix is not there. */
function unprefixed(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : "";
}

/** Exactly one text stands for each digest (in lower case, unless the scheme says otherwise). */
function decodeSignature({ algorithm, encoding, hexCase }: CompiledScheme, text: string): Buffer | undefined {
  // No encoding of these digests is longer; Buffer.from would decode any length.
  if (text.length > 2 * DIGEST_BYTES[algorithm]) return undefined;
  const digest = Buffer.from(text, encoding);
  if (digest.length !== DIGEST_BYTES[algorithm]) return undefined;
  const written = encoding === "hex" && hexCase === "any" ? text.toLowerCase() : text;
  return digest.toString(encoding) === written ? digest : undefined;
}

function signatureForm({ signature, algorithm, encoding, hexCase }: CompiledScheme): string {
  const bytes = DIGEST_BYTES[algorithm];
  const digits = hexCase === "lower" ? "lower-case hexadecimal digits" : "hexadecimal digits";
  const text = encoding === "hex" ? `${2 * bytes} ${digits}` : `${encoding} of ${bytes} bytes`;
  return `${signature.kv === undefined ? "" : signature.key + signature.kv}${signature.prefix}<${text}>`;
}
