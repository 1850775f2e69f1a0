/** The value (or values) of a signature header → decoded signatures and the timestamp that stands among them. */
import { type CompiledPlace, compilePlace, placeText } from "./place.ts";
import type { InboundRequest } from "./request.ts";
import type { HmacScheme, PublicKeyScheme, SignatureEncoding } from "./scheme.ts";
import type { CompiledTimestamp } from "./timestamp.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Most signatures that are tried in one request. */
export const SIGNATURES_MAX = 16;
/** Longest value of a signature header, and most items in it; what lies past them is refused unread. */
export const SIGNATURE_CHARS_MAX = 8_192;
export const SIGNATURE_ITEMS_MAX = 64;

/** How one signature is written. */
export interface SignatureFormat {
  readonly encoding: SignatureEncoding;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly hexCase: "lower" | "any";
}

export interface CompiledSignature {
  /** Where signatures are looked for; all that are there count. */
  readonly places: readonly [CompiledPlace, ...CompiledPlace[]];
  readonly item: string | undefined;
  readonly kv: "=" | "," | undefined;
  readonly key: string;
  readonly prefix: string;
  /** Splits a value into items: one character, or any of several. */
  readonly separator: string | RegExp;
  readonly format: SignatureFormat;
}

export interface SignatureList {
  /** Of a length that the format allows; at least one. */
  readonly signatures: readonly Buffer[];
  /** The timestamp's text, where it stands in the list. */
  readonly timestamp: string | undefined;
}

/** Throws TypeError on a place that makes no sense. */
export function compileSignature(
  { name, sig }: HmacScheme | PublicKeyScheme,
  format: SignatureFormat,
): CompiledSignature {
  if ((sig.kv === undefined) !== (sig.key === undefined)) {
    throw new TypeError(`scheme ${name}: sig.kv and sig.key go together`);
  }
  // Where the comma separates key and value it cannot separate items as well.
  const separators = `${sig.item ?? ""}${sig.kv === "," ? "" : ","}`;
  return {
    places: [compilePlace(sig), ...(sig.extra ?? []).map((extra) => compilePlace({ ...sig, name: extra }))],
    item: sig.item,
    kv: sig.kv,
    key: sig.key ?? "",
    prefix: sig.prefix ?? "",
    separator: new Set(separators).size > 1 ? new RegExp(`[${separators}]`) : separators.charAt(0),
    format,
  };
}

/** Reads every signature of the request. Refuses what is missing, malformed or beyond the bounds. */
export function readSignatures(
  signature: CompiledSignature,
  request: InboundRequest,
  timestamp: CompiledTimestamp | undefined,
): SignatureList | Refusal {
  const timestampKey = timestamp?.place.from === "sig" ? timestamp.place.name : undefined;
  const signatures: Buffer[] = [];
  let stamp: string | undefined;
  let found = 0;
  for (const place of signature.places) {
    const value = placeText(place, request);
    if (value === undefined) continue;
    const pairs = readPairs(signature, value);
    if (pairs === undefined) return refusal("malformed_signature", `${place.name} is too long`);
    for (const { key, text } of pairs) {
      if (key === timestampKey) {
        if (stamp !== undefined && stamp !== text) {
          return refusal("timestamp", `${namesOf(signature)} holds different timestamps`);
        }
        stamp = text;
      }
      if (key !== signature.key) continue;
      found += 1;
      const bytes = decodeSignature(signature.format, text);
      if (bytes !== undefined) signatures.push(bytes);
    }
  }
  if (found > SIGNATURES_MAX) {
    return refusal("malformed_signature", `${namesOf(signature)} holds more than ${SIGNATURES_MAX} signatures`);
  }
  if (signatures.length === 0) {
    const form = signatureForm(signature);
    return refusal("malformed_signature", `${namesOf(signature)} holds no signature of the form ${form}`);
  }
  return { signatures, timestamp: stamp };
}

const namesOf = ({ places }: CompiledSignature): string => places.map((place) => place.name).join(", ");

interface Pair {
  readonly key: string;
  readonly text: string;
}

/** Items as key and text; without keys the key is "" and the prefix is taken off. Undefined beyond the bounds. */
function readPairs({ kv, prefix, separator }: CompiledSignature, value: string): readonly Pair[] | undefined {
  if (value.length > SIGNATURE_CHARS_MAX) return undefined;
  const items = value.split(separator, SIGNATURE_ITEMS_MAX + 1);
  if (items.length > SIGNATURE_ITEMS_MAX) return undefined;
  const pairs: Pair[] = [];
  for (const item of items) {
    const text = item.trim();
    if (text === "") continue;
    if (kv === ",") addCommaPairs(pairs, text);
    else if (kv === undefined) pairs.push({ key: "", text: unprefixed(text, prefix) });
    else {
      const at = text.indexOf("=");
      if (at >= 0) pairs.push({ key: text.slice(0, at).trim(), text: unprefixed(text.slice(at + 1).trim(), prefix) });
    }
  }
  return pairs;
}

/** `v1,AAA` and, where repeated headers were joined, `v1,AAA,v1,BBB`. A comma at the end is such a joint, too. */
function addCommaPairs(pairs: Pair[], item: string): void {
  const words = item.split(",").filter((word) => word !== "");
  for (let index = 0; index + 1 < words.length; index += 2) {
    pairs.push({ key: words[index] ?? "", text: words[index + 1] ?? "" });
  }
}

/** Empty text, which decodes to no signature, where the prefix is not there. */
function unprefixed(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : "";
}

/** Exactly one text stands for each signature (in lower case, unless the scheme says otherwise). */
export function decodeSignature(
  { encoding, bytesMin, bytesMax, hexCase }: SignatureFormat,
  text: string,
): Buffer | undefined {
  // No encoding of that many bytes is longer; Buffer.from would decode any length.
  if (text.length > 2 * bytesMax) return undefined;
  const bytes = Buffer.from(text, encoding);
  if (bytes.length < bytesMin || bytes.length > bytesMax) return undefined;
  const written = encoding === "hex" && hexCase === "any" ? text.toLowerCase() : text;
  return bytes.toString(encoding) === written ? bytes : undefined;
}

function signatureForm({ kv, key, prefix, format }: CompiledSignature): string {
  const { encoding, bytesMin, bytesMax, hexCase } = format;
  const digits = hexCase === "lower" ? "lower-case hexadecimal digits" : "hexadecimal digits";
  const range = (unit: number) =>
    bytesMin === bytesMax ? `${unit * bytesMin}` : `${unit * bytesMin} to ${unit * bytesMax}`;
  const text = encoding === "hex" ? `${range(2)} ${digits}` : `${encoding} of ${range(1)} bytes`;
  return `${kv === undefined ? "" : key + kv}${prefix}<${text}>`;
}
