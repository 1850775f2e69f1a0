/**
 * The declarative form of a provider's signature scheme: what a request bears, what is signed, with which key, and
 * what the event is called. `compile.ts` turns it into what the engine runs. What data cannot express has `code`: a
 * file of its own under `vendors/`.
 */

export type HmacAlgorithm = "sha1" | "sha256" | "sha512";
export type PublicKeyAlgorithm = "ed25519" | "ecdsa-sha256" | "rsa-sha1" | "rsa-sha256";
export type SignatureEncoding = "hex" | "base64" | "base64url";

/** Where a value stands: a header or a field of the JSON body. */
export interface Place {
  /** `header` (the default) or a field of the JSON body. */
  readonly from?: "header" | "body";
  /** Header name, or dotted path into the JSON body; a step `*` takes every member of a list. */
  readonly name: string;
  /** Literal text that stands before the value. */
  readonly prefix?: string;
}

/** Where the signatures stand and how the value that holds them is written. */
export interface SignaturePlace extends Place {
  /** Further headers that may hold a signature of the same kind. */
  readonly extra?: readonly string[];
  /** Separator of list items. A comma separates too, because repeated headers arrive joined by one. */
  readonly item?: " " | "," | ";";
  /** Separator of key and value inside an item; needs `key`. */
  readonly kv?: "=" | ",";
  /** The key whose values are signatures; items with other keys are ignored. */
  readonly key?: string;
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
  /** `number` where only a JSON number counts (body). Default: text or number. */
  readonly json?: "number";
}

/**
 * One of the parts, joined by colons, that a secret's text consists of. `key` parts key the signature (each of them by
 * itself, where there are several), a `verify-token` is what the provider shows in a handshake.
 */
export interface SecretPart {
  readonly name: string;
  readonly use: "key" | "verify-token";
  /** Only parts at the end may be missing. */
  readonly optional?: true;
}

/** How a secret's text becomes key bytes. */
export interface KeyRule {
  readonly decode: "utf8" | "utf8-nfkd" | "base64" | "hex";
  /** The parts of the text. Default: all of it is the key. */
  readonly parts?: readonly [SecretPart, ...SecretPart[]];
  /** A prefix that must be there; removed before decoding. */
  readonly prefix?: string;
  /** Text without the prefix is no mistake, but is a key as it is. */
  readonly orText?: true;
  /** Prefixes removed, in this order, where they are there. */
  readonly strip?: readonly string[];
  /** Bounds of the decoded key, bytes. Default 1 to 4,096. */
  readonly bytesMin?: number;
  readonly bytesMax?: number;
}

/** How a secret's text becomes a public key: the raw 32 bytes of Ed25519, or SPKI (DER in base64, or PEM). */
export interface PublicKeyRule {
  readonly decode: "raw-hex" | "raw-base64" | "spki";
  /** Prefixes removed where they are there. */
  readonly strip?: readonly string[];
}

/**
 * What makes two events the same one:
 * - `signed-id`: the event id, which the signature (or the token) vouches for; with another body it is another event;
 * - `restamped-id`: such an id, although the sender changes the body from try to try;
 * - `unsigned-id`: the hash of what is signed, because the id is not covered; a timestamp in the body is left out;
 * - `unsigned-id-and-type`: the same together with the type, which stands in a header, where equal bodies may be
 *   events of several types;
 * - `unsigned-id-and-body`: the id and the hash of what is signed together, where distinct events may have equal bodies;
 * - `none`: nothing; no event is ever taken for a repeat.
 */
export type RepeatPolicy =
  | "signed-id"
  | "restamped-id"
  | "unsigned-id"
  | "unsigned-id-and-type"
  | "unsigned-id-and-body"
  | "none";

/**
 * Lookups are tried in order. One is `h:header-name`, `j:path.into.body` or `k:pattern` (the first key of the body's
 * object that the pattern matches: literal text, `*` for any text, `!` in front for keys that do not match), or several
 * joined by `+`: the first must be there, the rest are appended with a full stop where they are
 * (`h:x-github-event+j:action`). A step `*` of a path takes each member of a list; as an id, the only member.
 */
export type Lookups = readonly string[];

interface SchemeBase {
  /** The scheme's name in verdicts. */
  readonly name: string;
  readonly type: Lookups;
  readonly id: Lookups;
  readonly repeats: RepeatPolicy;
  /** Only for requests whose body is (`form`) or is not (`other`) an URL-encoded form. Default: any. */
  readonly body?: "form" | "other";
  /** Constant headers that the provider sends; only test events use them. */
  readonly headers?: Readonly<Record<string, string>>;
}

interface SignedScheme extends SchemeBase {
  readonly sig: SignaturePlace;
  /** Default hex. */
  readonly enc?: SignatureEncoding;
  /**
   * What is signed: literals and {body} {ts} {url} {path} {method} {header:x} {json:a.b} {text:a.b} {sortedForm}.
   * Default `{body}`. `{url}` is the URL as registered at the provider, with its query; `{path}` its path and query.
   * `{json:…}` is a field that must not contain the literal that follows, `{text:…}` the one field that may.
   */
  readonly content?: string;
  /**
   * The spellings of `{url}` of which any may be the signed one: as it is (the default), with and without the scheme's
   * own port (Twilio), or with the escapes undone that HubSpot undoes.
   */
  readonly urls?: "exact" | "with-port" | "hubspot";
  readonly ts?: TimestampPlace;
  /**
   * Dotted path of a list in the body of which each member bears a signature of its own. The paths of `sig` and
   * `content` then begin at the member, and every member must verify.
   */
  readonly each?: string;
}

/** A scheme that signs with HMAC (RFC 2104). */
export interface HmacScheme extends SignedScheme {
  readonly kind: "hmac";
  /** Default sha256. */
  readonly alg?: HmacAlgorithm;
  /** Letter case of hexadecimal signatures: `lower` (the default) or `any`. */
  readonly hexCase?: "lower" | "any";
  /** Default: the secret's whole text in UTF-8. */
  readonly key?: KeyRule;
}

/** A scheme that signs with the sender's private key; the webhook's secret is the public one. */
export interface PublicKeyScheme extends SignedScheme {
  readonly kind: "public-key";
  readonly alg: PublicKeyAlgorithm;
  readonly key: PublicKeyRule;
}

/** The request shows the secret itself. Nothing else of it is authenticated. */
export interface TokenScheme extends SchemeBase {
  readonly kind: "token";
  readonly token: Place;
}

/** HTTP Basic (RFC 7617): the secret is `user:password`. */
export interface BasicScheme extends SchemeBase {
  readonly kind: "basic";
}

/** The schemes that data cannot express: a file each under `vendors/`. */
export type VendorCode =
  | "aws-sns"
  | "contentful"
  | "hubspot-v1-v2"
  | "livekit"
  | "microsoft-graph"
  | "paypal"
  | "plaid"
  | "twilio-json";

/** A scheme that has code of its own. */
export interface CodeScheme extends SchemeBase {
  readonly kind: "code";
  readonly code: VendorCode;
}

/** Nothing is verified, and every event is marked so. */
export interface NoScheme extends SchemeBase {
  readonly kind: "none";
}

export type Scheme = HmacScheme | PublicKeyScheme | TokenScheme | BasicScheme | CodeScheme | NoScheme;
