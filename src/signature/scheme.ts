/**
 * The declarative form of a provider's signature scheme. Presets are data of this type; `compile.ts` turns them
 * into what the engine runs. The vocabulary covers every HMAC scheme of the provider catalogue; another `kind`
 * (token, basic, public key) is a further member of `Scheme`.
 */

export type HmacAlgorithm = "sha1" | "sha256" | "sha512";
export type SignatureEncoding = "hex" | "base64" | "base64url";

/** Where the signatures stand and how the value that holds them is written. */
export interface SignaturePlace {
  /** `header` (the default) or a field of the JSON body. */
  readonly from?: "header" | "body";
  /** Header name, or dotted path into the JSON body. */
  readonly name: string;
  /** Further headers that may hold a signature of the same kind. */
  readonly extra?: readonly string[];
  /** Separator of list items. A comma separates too, because repeated headers arrive joined by one. */
  readonly item?: " " | "," | ";";
  /** Separator of key and value inside an item; needs `key`. */
  readonly kv?: "=" | ",";
  /** The key whose values are signatures; items with other keys are ignored. */
  readonly key?: string;
  /** Literal text that stands before each signature. */
  readonly prefix?: string;
}

/** Where the timestamp stands and how far from now it may be. */
export interface TimestampPlace {
  /** A header, an item of the signature list (`kv` form), or a field of the JSON body. */
  readonly from: "header" | "sig" | "body";
  /** Header name, item key or dotted path. */
  readonly name: string;
  /** Digits of seconds or milliseconds since the Unix epoch, or RFC 3339 text. */
  readonly unit: "s" | "ms" | "iso";
  /** Seconds it may lie in the past; null where the vendor sets no bound. */
  readonly tol: number | null;
  /** Seconds it may lie in the future; null where the vendor sets no bound. */
  readonly future: number | null;
}

/** How a secret's text becomes key bytes. */
export interface KeyRule {
  readonly decode: "utf8" | "utf8-nfkd" | "base64" | "hex";
  /** A prefix that must be there; removed before decoding. */
  readonly prefix?: string;
  /** Prefixes removed, in this order, where they are there. */
  readonly strip?: readonly string[];
  /** Bounds of the decoded key, bytes. Default 1 to 4,096. */
  readonly bytesMin?: number;
  readonly bytesMax?: number;
}

/**
 * What makes two events the same one:
 * - `signed-id`: the event id, which the signature covers;
 * - `unsigned-id`: the event id or the hash of the body, because the id is not covered;
 * - `restamped-id`: the event id, although the sender changes the body from try to try;
 * - `none`: nothing; no event is ever taken for a repeat.
 */
export type RepeatPolicy = "signed-id" | "unsigned-id" | "restamped-id" | "none";

/**
 * Lookups are tried in order. One is `h:header-name` or `j:path.into.body`, or several joined by `+`: the first
 * must be there, the rest are appended with a full stop where they are (`h:x-github-event+j:action`).
 */
export type Lookups = readonly string[];

/** A scheme that signs with HMAC (RFC 2104). */
export interface HmacScheme {
  readonly kind: "hmac";
  /** The scheme's name in verdicts. */
  readonly name: string;
  readonly sig: SignaturePlace;
  /** Default sha256. */
  readonly alg?: HmacAlgorithm;
  /** Default hex. */
  readonly enc?: SignatureEncoding;
  /** Letter case of hexadecimal signatures: `lower` (the default) or `any`. */
  readonly hexCase?: "lower" | "any";
  /** What is signed: literals and {body} {ts} {url} {path} {method} {header:x} {json:a.b}. Default `{body}`. */
  readonly content?: string;
  readonly ts?: TimestampPlace;
  /** Default: the secret's whole text in UTF-8. */
  readonly key?: KeyRule;
  readonly type: Lookups;
  readonly id: Lookups;
  readonly repeats: RepeatPolicy;
  /** Constant headers that the provider sends; only test events use them. */
  readonly headers?: Readonly<Record<string, string>>;
}

export type Scheme = HmacScheme;

/** What a source accepts: one scheme, or several forms of which a request must use exactly one. */
export interface Preset {
  /** Second names of the source. */
  readonly aliases?: readonly string[];
  readonly schemes: readonly [Scheme, ...Scheme[]];
}
