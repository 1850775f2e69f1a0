/**
 * Plaid ("Webhook verification"): `plaid-verification` holds a JWT (ES256) with the hash of the body, signed by a key
 * that Plaid's API tells to its clients. The webhook's secret holds the credentials of that API.
 */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { sameBytes } from "../../security/constant-time.ts";
import { isSignedBy, type Jwt, readJwt, secondsOf } from "../jwt.ts";
import { textProblem } from "../key.ts";
import type { Method, Outcome } from "../method.ts";
import { hasContent, isKey, type KeyAnswer, type NeededKey, resolveKey } from "../needed-key.ts";
import { compilePlace, placeText } from "../place.ts";
import { type Refusal, refusal } from "../verdict.ts";

const PLACE = compilePlace({ name: "plaid-verification" });
const FORM = "<environment>:<client id>:<secret>, the environment production or sandbox";
const SECRET = /^(production|sandbox):([0-9A-Za-z]{1,128}):([0-9A-Za-z]{1,128})$/;
const KEY_ID = /^[0-9A-Za-z-]{8,64}$/;
/** How old a JWT may be. */
export const TOLERANCE_SECONDS = 300;

interface Credentials {
  readonly environment: string;
  readonly clientId: string;
  readonly secret: string;
  /** Tells credentials apart without saying them: a key is known only to whom Plaid tells it. */
  readonly fingerprint: string;
}

export const plaid: Method<Credentials> = {
  keyKind: "plaid",
  secretForm: FORM,
  places: [PLACE],
  needsUrl: false,
  readKey(text) {
    const problem = textProblem(text);
    if (problem !== undefined) return { ok: false, problem };
    const [, environment, clientId, secret] = SECRET.exec(text) ?? [];
    if (!environment || !clientId || !secret) return { ok: false, problem: `must be ${FORM}` };
    const fingerprint = createHash("sha256").update(text).digest("base64url");
    return { ok: true, key: { environment, clientId, secret, fingerprint } };
  },
  judge(keys, { header, body }, { nowMs, fetched }) {
    const jwt = readJwt(placeText(PLACE, { header, body, method: "POST", url: undefined }) ?? "");
    const kid = jwt?.header.kid;
    if (jwt === undefined || typeof kid !== "string" || !KEY_ID.test(kid) || jwt.header.alg !== "ES256") {
      return refusal("malformed_signature", `${PLACE.name} holds no JWT with ES256 and a key id`);
    }
    const unfit = checkClaims(jwt, body, nowMs);
    if (unfit !== undefined) return unfit;
    let outcome: Outcome = refusal("signature", "the JWT is not signed by the key that it names");
    for (const { key, index } of keys) {
      const published = resolveKey(neededKey(key, kid), PLACE.name, fetched);
      if (!isKey(published)) outcome = published;
      else if (isSignedBy(jwt, "ES256", published)) return index;
    }
    return outcome;
  },
};

function checkClaims({ claims }: Jwt, body: Buffer, nowMs: number): Refusal | undefined {
  const issued = secondsOf(claims.iat);
  if (issued === undefined) return refusal("timestamp", "timestamp missing: iat of the JWT");
  const age = Math.floor(nowMs / 1000) - issued;
  if (age > TOLERANCE_SECONDS) return refusal("timestamp", `timestamp ${age} s old, tolerance ${TOLERANCE_SECONDS} s`);
  const hash = claims.request_body_sha256;
  const expected = createHash("sha256").update(body).digest();
  if (typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash) && sameBytes(Buffer.from(hash, "hex"), expected)) {
    return undefined;
  }
  return refusal("signature", "the JWT is of another body: content changed on the way (the exact bytes count)");
}

function neededKey({ environment, clientId, secret, fingerprint }: Credentials, kid: string): NeededKey {
  const url = `https://${environment}.plaid.com/webhook_verification_key/get`;
  return {
    keyId: `${url}#${fingerprint}#${kid}`,
    url,
    post: JSON.stringify({ client_id: clientId, secret, key_id: kid }),
    read: (answer, { nowMs }) => readKeyAnswer(answer, kid, nowMs),
  };
}

/** The key of an answer; a key that has expired, or that Plaid does not know, is none. */
function readKeyAnswer(answer: KeyAnswer, kid: string, nowMs: number): KeyObject | undefined {
  if (!hasContent(answer)) return undefined;
  const { key } = JSON.parse(answer.body.toString("utf8")) as { key: Record<string, unknown> };
  const { kty, crv, x, y, expired_at: expiredAt } = key;
  if (key.kid !== kid || kty !== "EC" || crv !== "P-256" || typeof x !== "string" || typeof y !== "string")
    return undefined;
  if (typeof expiredAt === "number" && expiredAt * 1000 <= nowMs) return undefined;
  return createPublicKey({ key: { kty, crv, x, y }, format: "jwk" });
}
