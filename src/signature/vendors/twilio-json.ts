/**
 * Twilio's form for bodies that are no forms ("Webhooks security"): `x-twilio-signature` signs the URL, whose parameter
 * `bodySHA256` is the hash of the body. The URL is tried with and without its port, as Twilio's library does.
 */
import { createHash, type KeyObject } from "node:crypto";
import { sameBytes } from "../../security/constant-time.ts";
import { digestOf, hasDigest } from "../hmac.ts";
import { generateSecret, keyForm, parseKey } from "../key.ts";
import { type Method, SigningError } from "../method.ts";
import { compilePlace, placeText } from "../place.ts";
import type { KeyRule } from "../scheme.ts";
import { decodeSignature } from "../signature-list.ts";
import { noMatch } from "../signed.ts";
import { URL_UNKNOWN } from "../template.ts";
import { urlSpellings } from "../url-spellings.ts";
import { refusal } from "../verdict.ts";

const SIGNATURE = compilePlace({ name: "x-twilio-signature" });
const PARAMETER = "bodySHA256";
const KEY: KeyRule = { decode: "utf8" };
const FORMAT = { encoding: "base64", bytesMin: 20, bytesMax: 20, hexCase: "lower" } as const;

export const twilioJson: Method<KeyObject> = {
  keyKind: "hmac",
  secretForm: keyForm(KEY),
  places: [SIGNATURE],
  needsUrl: true,
  readKey: (text) => parseKey(KEY, text),
  generate: generateSecret,
  judge(keys, request) {
    const { url, body } = request;
    if (url === undefined) return refusal("missing_field", URL_UNKNOWN);
    const digest = decodeSignature(FORMAT, placeText(SIGNATURE, request) ?? "");
    if (digest === undefined) return refusal("malformed_signature", `${SIGNATURE.name} must be base64 of 20 bytes`);
    const hashes = URL.parse(url)?.searchParams.getAll(PARAMETER) ?? [];
    if (hashes.length !== 1 || !/^[0-9a-f]{64}$/.test(hashes[0] ?? "")) {
      return refusal("missing_field", `a body that is no form needs one parameter ${PARAMETER} in the URL`);
    }
    const found = keys.find(({ key }) =>
      urlSpellings("with-port", url).some((spelling) => hasDigest([digest], digestOf("sha1", key, [spelling ?? ""]))),
    );
    if (found === undefined) return noMatch(keys.length);
    if (sameBytes(Buffer.from(hashes[0] ?? "", "hex"), hashOf(body))) return found.index;
    return refusal("signature", `${PARAMETER} is of another body: content changed on the way (the exact bytes count)`);
  },
  sign(key, draft) {
    if (draft.url === undefined) throw new SigningError(URL_UNKNOWN);
    const parameter = `${draft.url.includes("?") ? "&" : "?"}${PARAMETER}=${hashOf(draft.body).toString("hex")}`;
    draft.url += parameter;
    if (draft.target !== undefined) draft.target += parameter;
    draft.headers.set(SIGNATURE.name, digestOf("sha1", key, [draft.url]).toString("base64"));
  },
};

const hashOf = (body: Buffer): Buffer => createHash("sha256").update(body).digest();
