/** What proves where a request comes from, in words: one paragraph for each form of a source. */
import type { FormFacts } from "../signature/catalogue.ts";
import type {
  BasicScheme,
  CodeScheme,
  HmacScheme,
  NoScheme,
  Place,
  PublicKeyScheme,
  SignaturePlace,
  TimestampPlace,
  TokenScheme,
  VendorCode,
} from "../signature/scheme.ts";
import { code, seconds } from "./prose.ts";

const ENCODINGS = { hex: "hexadecimal digits", base64: "base64", base64url: "base64url" } as const;
const HASHES = { sha1: "SHA-1", sha256: "SHA-256", sha512: "SHA-512" } as const;
const ALGORITHMS = {
  ed25519: "Ed25519 signature",
  "ecdsa-sha256": "ECDSA signature (SHA-256)",
  "rsa-sha1": "RSA signature (SHA-1)",
  "rsa-sha256": "RSA signature (SHA-256)",
} as const;

/** What the schemes do that have code of their own. */
const VENDORS: Readonly<Record<VendorCode, string>> = {
  "aws-sns":
    "`Signature` in the body is AWS's RSA signature of the message's fields. The certificate is fetched from the SNS host of the topic's region and nowhere else, and only messages of the topic that the secret names count.",
  contentful:
    "`x-contentful-signature` is the HMAC-SHA256 of method, path, the headers that `x-contentful-signed-headers` lists, and the body. The time in `x-contentful-timestamp` may be less than 30 seconds old.",
  "hubspot-v1-v2":
    "`x-hubspot-signature`, in requests without the header of version 3, is the SHA-256 of the secret followed by the body (version 1) or by method, URL and body (version 2).",
  livekit:
    "`authorization` holds a JWT under the API secret, whose claim `sha256` is the hash of the body and whose own times are judged.",
  "microsoft-graph":
    "Every item of `value` shows the client state. Where the secret names application and tenant, the JWTs in `validationTokens` are verified with the keys that Microsoft publishes.",
  paypal:
    "`paypal-transmission-sig` is PayPal's RSA signature of transmission id, time, webhook id and the CRC-32 of the body. The certificate is fetched from PayPal's own host and nowhere else.",
  plaid:
    "`plaid-verification` holds a JWT of Plaid's, at most five minutes old, with the hash of the body. Its key is fetched from Plaid's API and nowhere else.",
  "twilio-json":
    "`x-twilio-signature` is the HMAC-SHA1 of the URL, whose parameter `bodySHA256` is the hash of the body.",
};

export function proofOf({ scheme }: FormFacts): string {
  return BODIES[scheme.body ?? "any"] + proofOfKind(scheme);
}

const BODIES = { any: "", form: "Of a form: ", other: "Of any other body: " } as const;

function proofOfKind(scheme: HmacScheme | PublicKeyScheme | TokenScheme | BasicScheme | CodeScheme | NoScheme): string {
  switch (scheme.kind) {
    case "hmac":
      return signed(scheme, `HMAC-${HASHES[scheme.alg ?? "sha256"].replace("-", "")}`);
    case "public-key":
      return signed(scheme, ALGORITHMS[scheme.alg]);
    case "token":
      return `${places(scheme.token, [])} the secret itself${after(scheme.token.prefix)}.`;
    case "basic":
      return "`authorization` shows user and password (HTTP Basic).";
    case "code":
      return VENDORS[scheme.code];
    case "none":
      return "Nothing is verified.";
  }
}

function signed(scheme: HmacScheme | PublicKeyScheme, what: string): string {
  const { sig, ts, enc = "hex", each, content = "{body}" } = scheme;
  const member = each === undefined ? "" : `in each member of ${code(each)}, `;
  const items = sig.key === undefined ? "" : ` in each item \`${sig.key}\``;
  const proof = `${member}${each === undefined ? places(sig, sig.extra ?? []) : `${code(sig.name)} holds`}${items} the ${what} of ${contentOf(content, ts)} as ${ENCODINGS[enc]}${after(sig.prefix)}.`;
  return [proof, ...(content.includes("{url}") ? [URL_REGISTERED] : []), ...(ts ? [timeOf(ts, sig)] : [])].join(" ");
}

const URL_REGISTERED = "`{url}` is the URL as it is registered.";

function places({ from, name }: Place, extra: readonly string[]): string {
  if (from === "body") return `${code(name)} in the body holds`;
  const last = extra.at(-1);
  if (last === undefined) return `${code(name)} holds`;
  return extra.length === 1 ? `${code(name)} or ${code(last)} holds` : `${code(name)} to ${code(last)} each hold`;
}

const after = (prefix: string | undefined): string => (prefix === undefined ? "" : ` after \`${prefix.trim()}\``);

/** The template with the names that people see in the request. */
function contentOf(template: string, ts: TimestampPlace | undefined): string {
  if (template === "{body}") return "the body";
  const readable = template
    .replaceAll(/\{(?:header|json|text):([^{}]+)\}/g, "{$1}")
    .replaceAll("{ts}", `{${ts?.name}}`)
    .replaceAll("{sortedForm}", "{fields of the form, sorted}");
  return code(readable);
}

function timeOf(ts: TimestampPlace, sig: SignaturePlace): string {
  const place = { header: "", sig: `, an item of ${code(sig.name)},`, body: " in the body" }[ts.from];
  const name = `The time in ${code(ts.name)}${place}`;
  if (ts.tol === null) return `${name} is signed, but no bound is set for its age.`;
  if (ts.future === null) return `${name} may be at most ${seconds(ts.tol)} old.`;
  if (ts.future === ts.tol) return `${name} may be off by at most ${seconds(ts.tol)}.`;
  return `${name} may be at most ${seconds(ts.tol)} old${ts.future === 0 ? " and not ahead" : ` and ${seconds(ts.future)} ahead`}.`;
}

/** The proof in a few words, for a table. */
export function proofInShort({ scheme }: FormFacts): string {
  switch (scheme.kind) {
    case "hmac":
      return `HMAC-${HASHES[scheme.alg ?? "sha256"].replace("-", "")}`;
    case "public-key":
      return { ed25519: "Ed25519", "ecdsa-sha256": "ECDSA", "rsa-sha1": "RSA", "rsa-sha256": "RSA" }[scheme.alg];
    case "token":
      return "token";
    case "basic":
      return "Basic";
    case "code":
      return VENDORS_IN_SHORT[scheme.code];
    case "none":
      return "none";
  }
}

const VENDORS_IN_SHORT: Readonly<Record<VendorCode, string>> = {
  "aws-sns": "RSA",
  contentful: "HMAC-SHA256",
  "hubspot-v1-v2": "SHA-256",
  livekit: "JWT",
  "microsoft-graph": "token, JWT",
  paypal: "RSA",
  plaid: "JWT",
  "twilio-json": "HMAC-SHA1",
};
