/**
 * Microsoft Graph change notifications (learn.microsoft.com/graph, "Set up notifications" and "Rich notifications"):
 * every item shows the `clientState` of its subscription; notifications with resource data also bring JWTs in
 * `validationTokens`, which are judged where the webhook's secret names application and tenant.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { isSignedBy, type Jwt, readJwt, secondsOf } from "../jwt.ts";
import { textProblem } from "../key.ts";
import type { IndexedKey, JudgeContext, Method, Outcome } from "../method.ts";
import { hasContent, isKey, type KeyAnswer, type NeededKey, resolveKey } from "../needed-key.ts";
import { compilePlace, placeTexts } from "../place.ts";
import { bodyField, bodyFields, type InboundRequest } from "../request.ts";
import { setInBody } from "../signed.ts";
import { hashed, judgePresented, tokenText } from "../token.ts";
import { type Refusal, refusal } from "../verdict.ts";

const PLACE = compilePlace({ from: "body", name: "value.*.clientState" });
const FORM = "<client state>, or <client state>:<application id>:<tenant id>";
const GUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
const SECRET = new RegExp(`^(.+?)(?::(${GUID}):(${GUID}))?$`);
const CLIENT_STATE_CHARS_MAX = 128;
const TOKENS_MAX = 8;
const JWKS_URL = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
const KEY_ID = /^[0-9A-Za-z_-]{8,128}$/;
/** The application that Graph sends notifications as. */
const PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086";
const LEEWAY_SECONDS = 300;

interface Credentials {
  readonly clientState: KeyObject;
  readonly application: string | undefined;
  readonly tenant: string | undefined;
}

export const microsoftGraph: Method<Credentials> = {
  keyKind: "token",
  secretForm: FORM,
  places: [PLACE],
  needsUrl: false,
  readKey(text) {
    const problem = textProblem(text);
    if (problem !== undefined) return { ok: false, problem };
    const [, clientState = "", application, tenant] = SECRET.exec(text) ?? [];
    if (clientState.length > CLIENT_STATE_CHARS_MAX) return { ok: false, problem: `must be ${FORM}` };
    const ids = { application: application?.toLowerCase(), tenant: tenant?.toLowerCase() };
    return { ok: true, key: { clientState: hashed(clientState), ...ids } };
  },
  generate: tokenText,
  judge(keys, request, context) {
    const states = keys.map(({ key, index }) => ({ key: key.clientState, index }));
    const outcome = judgePresented(states, placeTexts(PLACE, request), PLACE.name);
    if (typeof outcome !== "number") return outcome;
    const rich = keys.filter(({ key }) => key.application !== undefined);
    return rich.length === 0 ? outcome : (judgeTokens(rich, request, context) ?? outcome);
  },
  sign(_key, draft, text) {
    setInBody(draft, ["value", "0", "clientState"], SECRET.exec(text)?.[1] ?? text);
  },
};

/** Undefined if every validation token holds, and there are some where the notification brings resource data. */
function judgeTokens(
  keys: readonly IndexedKey<Credentials>[],
  request: InboundRequest,
  context: JudgeContext,
): Exclude<Outcome, number> | undefined {
  const tokens = bodyField(request, ["validationTokens"]) ?? [];
  if (!Array.isArray(tokens) || tokens.length > TOKENS_MAX) {
    return refusal("malformed_field", `validationTokens must be a list of at most ${TOKENS_MAX}`);
  }
  const bringsData = bodyFields(request, ["value", "*", "encryptedContent"]).some((value) => value !== undefined);
  if (bringsData && tokens.length === 0) return refusal("missing_signature", "validationTokens is missing");
  for (const token of tokens) {
    const unfit = judgeToken(typeof token === "string" ? readJwt(token) : undefined, keys, context);
    if (unfit !== undefined) return unfit;
  }
  return undefined;
}

function judgeToken(
  jwt: Jwt | undefined,
  keys: readonly IndexedKey<Credentials>[],
  { nowMs, fetched }: JudgeContext,
): Refusal | NeededKey | undefined {
  const kid = jwt?.header.kid;
  if (jwt === undefined || typeof kid !== "string" || !KEY_ID.test(kid) || jwt.header.alg !== "RS256") {
    return refusal("malformed_signature", "validationTokens holds no JWT with RS256 and a key id");
  }
  const unfit = checkClaims(jwt, keys, Math.floor(nowMs / 1000));
  if (unfit !== undefined) return unfit;
  const key = resolveKey(neededKey(kid), "a validation token", fetched);
  if (!isKey(key)) return key;
  return isSignedBy(jwt, "RS256", key)
    ? undefined
    : refusal("signature", "a validation token is not signed by Microsoft");
}

function checkClaims({ claims }: Jwt, keys: readonly IndexedKey<Credentials>[], now: number): Refusal | undefined {
  const { aud, iss, exp, nbf } = claims;
  if ((claims.azp ?? claims.appid) !== PUBLISHER) return refusal("signature", "a validation token is not Graph's");
  const isOurs = keys.some(({ key }) => aud === key.application && issuersOf(key.tenant ?? "").includes(String(iss)));
  if (!isOurs) return refusal("signature", "a validation token is for another application or tenant");
  const end = secondsOf(exp);
  const begin = nbf === undefined ? now : secondsOf(nbf);
  if (end === undefined || begin === undefined)
    return refusal("timestamp", "a validation token says not when it expires");
  if (end < now - LEEWAY_SECONDS) return refusal("timestamp", `a validation token expired ${now - end} s ago`);
  return begin > now + LEEWAY_SECONDS
    ? refusal("timestamp", `a validation token begins in ${begin - now} s`)
    : undefined;
}

const issuersOf = (tenant: string): readonly string[] => [
  `https://sts.windows.net/${tenant}/`,
  `https://login.microsoftonline.com/${tenant}/v2.0`,
];

function neededKey(kid: string): NeededKey {
  return { keyId: `${JWKS_URL}#${kid}`, url: JWKS_URL, read: (answer) => readKeySet(answer, kid) };
}

function readKeySet(answer: KeyAnswer, kid: string): KeyObject | undefined {
  if (!hasContent(answer)) throw new Error("the vendor has no keys");
  const { keys } = JSON.parse(answer.body.toString("utf8")) as { keys: readonly Record<string, unknown>[] };
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key?.kty !== "RSA" || typeof key.n !== "string" || typeof key.e !== "string") return undefined;
  return createPublicKey({ key: { kty: "RSA", n: key.n, e: key.e }, format: "jwk" });
}
