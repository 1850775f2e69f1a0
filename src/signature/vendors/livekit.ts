/**
 * LiveKit (docs.livekit.io, "Webhooks"): `authorization` holds a JWT (HS256) whose issuer is the API key and whose
 * claim `sha256` is the hash of the body. Its times are judged as livekit-server-sdk does, with ten seconds' leeway.
 */
import { createHash, createSecretKey, type KeyObject } from "node:crypto";
import { sameText } from "../../security/constant-time.ts";
import { digestOf } from "../hmac.ts";
import { isSignedBy, type Jwt, readJwt, secondsOf } from "../jwt.ts";
import { textProblem } from "../key.ts";
import type { Method } from "../method.ts";
import { compilePlace, placeText } from "../place.ts";
import type { InboundRequest } from "../request.ts";
import { noMatch } from "../signed.ts";
import { type Refusal, refusal } from "../verdict.ts";

const PLACE = compilePlace({ name: "authorization" });
const FORM = "<API key>:<API secret>";
const LEEWAY_SECONDS = 10;
/** How long a token of ours holds, seconds. */
const LIFETIME_SECONDS = 300;

interface Credentials {
  readonly apiKey: string;
  readonly secret: KeyObject;
}

export const livekit: Method<Credentials> = {
  keyKind: "livekit",
  secretForm: FORM,
  places: [PLACE],
  needsUrl: false,
  readKey(text) {
    const problem = textProblem(text);
    if (problem !== undefined) return { ok: false, problem };
    const at = text.indexOf(":");
    if (at < 1 || at === text.length - 1) return { ok: false, problem: `must be ${FORM}` };
    return { ok: true, key: { apiKey: text.slice(0, at), secret: createSecretKey(text.slice(at + 1), "utf8") } };
  },
  judge(keys, request, { nowMs }) {
    const jwt = readJwt(placeText(PLACE, request) ?? "");
    if (jwt === undefined) return refusal("malformed_signature", `${PLACE.name} holds no JWT`);
    const found = keys.find(({ key }) => jwt.claims.iss === key.apiKey && isSignedBy(jwt, "HS256", key.secret));
    if (found === undefined) return noMatch(keys.length);
    return checkClaims(jwt, request, nowMs) ?? found.index;
  },
  sign({ apiKey, secret }, draft) {
    const now = Math.floor(draft.nowMs / 1000);
    const claims = { sha256: hashOf(draft.body), iss: apiKey, exp: now + LIFETIME_SECONDS, nbf: now };
    const signed = [{ alg: "HS256" }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    draft.headers.set(PLACE.name, `${signed}.${digestOf("sha256", secret, [signed]).toString("base64url")}`);
  },
};

function checkClaims({ claims }: Jwt, request: InboundRequest, nowMs: number): Refusal | undefined {
  const now = Math.floor(nowMs / 1000);
  const end = secondsOf(claims.exp);
  const begin = claims.nbf === undefined ? now : secondsOf(claims.nbf);
  if (end === undefined || begin === undefined) return refusal("timestamp", "the JWT says not when it expires");
  if (end <= now - LEEWAY_SECONDS) return refusal("timestamp", `the JWT expired ${now - end} s ago`);
  if (begin > now + LEEWAY_SECONDS) return refusal("timestamp", `the JWT begins in ${begin - now} s`);
  if (typeof claims.sha256 === "string" && sameText(claims.sha256, hashOf(request.body))) return undefined;
  return refusal("signature", "the JWT is of another body: content changed on the way (the exact bytes count)");
}

const hashOf = (body: Buffer): string => createHash("sha256").update(body).digest("base64");
