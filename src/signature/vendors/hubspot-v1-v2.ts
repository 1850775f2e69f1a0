/**
 * HubSpot's older signatures ("Validating requests"): `x-hubspot-signature` is SHA-256, not HMAC, of the client secret
 * followed by the body (v1) or by method, URL and body (v2). Neither says when the request was made.
 */
import { isUtf8 } from "node:buffer";
import { createHash, type KeyObject } from "node:crypto";
import { hasDigest } from "../hmac.ts";
import { generateSecret, keyForm, parseKey } from "../key.ts";
import type { Method } from "../method.ts";
import { compilePlace, placeText } from "../place.ts";
import type { InboundRequest } from "../request.ts";
import type { KeyRule } from "../scheme.ts";
import { decodeSignature } from "../signature-list.ts";
import { noMatch } from "../signed.ts";
import { URL_UNKNOWN } from "../template.ts";
import { urlSpellings } from "../url-spellings.ts";
import { type Refusal, refusal } from "../verdict.ts";

const SIGNATURE = compilePlace({ name: "x-hubspot-signature" });
const VERSION = "x-hubspot-signature-version";
const KEY: KeyRule = { decode: "utf8" };
const FORMAT = { encoding: "hex", bytesMin: 32, bytesMax: 32, hexCase: "lower" } as const;

export const hubspotV1V2: Method<KeyObject> = {
  keyKind: "hmac",
  secretForm: keyForm(KEY),
  places: [SIGNATURE],
  needsUrl: true,
  readKey: (text) => parseKey(KEY, text),
  generate: generateSecret,
  judge(keys, request) {
    const digest = decodeSignature(FORMAT, placeText(SIGNATURE, request) ?? "");
    if (digest === undefined) {
      return refusal("malformed_signature", `${SIGNATURE.name} must be 64 lower-case hexadecimal digits`);
    }
    const heads = signedHeads(request);
    if (!Array.isArray(heads)) return heads as Refusal;
    if (!isJson(request.body)) return refusal("malformed_field", "the body must be JSON");
    const found = keys.find(({ key }) => heads.some((head) => hasDigest([digest], hashOf(key, head, request.body))));
    return found?.index ?? noMatch(keys.length);
  },
  sign(key, draft) {
    draft.headers.set(VERSION, "v1");
    draft.headers.set(SIGNATURE.name, hashOf(key, "", draft.body).toString("hex"));
  },
};

/** What stands between secret and body, in each spelling of the URL. */
function signedHeads({ header, method, url }: InboundRequest): readonly string[] | Refusal {
  switch (header(VERSION) ?? "v1") {
    case "v1":
      return [""];
    case "v2":
      if (url === undefined) return refusal("missing_field", URL_UNKNOWN);
      return urlSpellings("hubspot", url).map((spelling) => `${method.toUpperCase()}${spelling}`);
    default:
      return refusal("malformed_field", `${VERSION} must be v1 or v2`);
  }
}

/**
 * A hash of secret and content lets whoever has one signature append to the content, after padding that is no UTF-8,
 * and pass what v2 signs (method, URL and body) off as a body of v1. Neither is JSON.
 */
function isJson(body: Buffer): boolean {
  try {
    JSON.parse(body.toString("utf8"));
    return isUtf8(body);
  } catch {
    return false;
  }
}

const hashOf = (key: KeyObject, head: string, body: Buffer): Buffer =>
  createHash("sha256").update(key.export()).update(head).update(body).digest();
