/**
 * Contentful (developers, "Request verification"): HMAC-SHA256 of method, path, headers and body. Which headers are
 * signed stands in a header that is signed too. The timestamp is judged as `verifyRequest` of
 * @contentful/node-apps-toolkit does: less than 30 s old, the future unbounded.
 */
import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { escape as escapeQuery } from "node:querystring";
import { digestOf, hasDigest } from "../hmac.ts";
import { textProblem } from "../key.ts";
import { type Method, SigningError } from "../method.ts";
import { compilePlace, placeText } from "../place.ts";
import type { InboundRequest } from "../request.ts";
import { decodeSignature } from "../signature-list.ts";
import { draftRequest, noMatch } from "../signed.ts";
import { isRefusal, type Refusal, refusal } from "../verdict.ts";

const SIGNATURE = compilePlace({ name: "x-contentful-signature" });
const TIMESTAMP = "x-contentful-timestamp";
const SIGNED_HEADERS = "x-contentful-signed-headers";
/** How old a request may be. */
export const TOLERANCE_SECONDS = 30;
const SIGNED_HEADERS_MAX = 64;
const SECRET_CHARS = 64;
const FORMAT = { encoding: "hex", bytesMin: 32, bytesMax: 32, hexCase: "lower" } as const;

export const contentful: Method<KeyObject> = {
  keyKind: "hmac",
  secretForm: `${SECRET_CHARS} characters`,
  places: [SIGNATURE],
  needsUrl: false,
  readKey(text) {
    const problem = textProblem(text);
    if (problem !== undefined) return { ok: false, problem };
    if (text.length !== SECRET_CHARS) return { ok: false, problem: `must be ${SECRET_CHARS} characters` };
    return { ok: true, key: createSecretKey(text, "utf8") };
  },
  generate: () => randomBytes(SECRET_CHARS / 2).toString("hex"),
  judge(keys, request, { nowMs }) {
    const digest = decodeSignature(FORMAT, placeText(SIGNATURE, request) ?? "");
    if (digest === undefined) {
      return refusal("malformed_signature", `${SIGNATURE.name} must be 64 lower-case hexadecimal digits`);
    }
    const late = checkAge(request.header(TIMESTAMP), nowMs);
    if (late !== undefined) return late;
    const content = canonicalRequest(request);
    if (isRefusal(content)) return content;
    const found = keys.find(({ key }) => hasDigest([digest], digestOf("sha256", key, content)));
    return found?.index ?? noMatch(keys.length);
  },
  signedContent(request) {
    const content = canonicalRequest(request);
    return isRefusal(content) ? [request.body] : content;
  },
  sign(key, draft) {
    const names = [...draft.headers.keys(), TIMESTAMP, SIGNED_HEADERS].filter((name) =>
      name.startsWith("x-contentful-"),
    );
    draft.headers.set(TIMESTAMP, String(draft.nowMs));
    draft.headers.set(SIGNED_HEADERS, [...new Set(names)].sort().join(","));
    const content = canonicalRequest(draftRequest(draft));
    if (isRefusal(content)) throw new SigningError(content.reason);
    draft.headers.set(SIGNATURE.name, digestOf("sha256", key, content).toString("hex"));
  },
};

function checkAge(text: string | undefined, nowMs: number): Refusal | undefined {
  if (!/^[0-9]{13}$/.test(text ?? "")) {
    return refusal("timestamp", `timestamp malformed: ${TIMESTAMP} must be milliseconds since 1970, digits only`);
  }
  const ageMs = nowMs - Number(text);
  if (ageMs < TOLERANCE_SECONDS * 1_000) return undefined;
  return refusal("timestamp", `timestamp ${ageMs / 1_000} s old, tolerance ${TOLERANCE_SECONDS} s`);
}

function canonicalRequest(request: InboundRequest): readonly [head: string, body: Buffer] | Refusal {
  const path = encodedPath(request);
  if (path === undefined) return refusal("missing_field", "the signature covers the path, which is not known");
  const listed = request.header(SIGNED_HEADERS) ?? "";
  const names = [...new Set(listed.split(",", SIGNED_HEADERS_MAX + 1).map((name) => name.trim().toLowerCase()))].sort();
  if (names.length > SIGNED_HEADERS_MAX || !names.includes(TIMESTAMP) || !names.includes(SIGNED_HEADERS)) {
    const needed = `${TIMESTAMP}, ${SIGNED_HEADERS}`;
    return refusal("malformed_field", `${SIGNED_HEADERS} must list ${needed} and at most ${SIGNED_HEADERS_MAX} names`);
  }
  const lines = names.map((name) => {
    const value = name === SIGNED_HEADERS ? names.join(",") : request.header(name);
    return value === undefined ? undefined : `${name}:${value.trim()}`;
  });
  if (lines.includes(undefined)) return refusal("missing_field", `a header that ${SIGNED_HEADERS} lists is missing`);
  return [`${request.method}\n${path}\n${lines.join(";")}\n`, request.body];
}

/** Path and query as the toolkit spells them. */
function encodedPath({ target, url }: InboundRequest): string | undefined {
  const parsed = url === undefined ? undefined : URL.parse(url);
  const text = target ?? (parsed ? parsed.pathname + parsed.search : undefined);
  if (text === undefined || !text.isWellFormed()) return undefined;
  const [path, query] = text.split("?", 2);
  return encodeURI(query ? `${path}?${escapeQuery(query)}` : (path ?? ""));
}
