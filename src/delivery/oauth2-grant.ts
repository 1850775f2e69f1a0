/** The client credentials grant on the wire (RFC 6749 §4.4): the request, and what its answer says. Pure. */
import type { OAuth2Settings } from "../core/destination-credentials.ts";
import type { Header } from "../outbound/exchange.ts";

/** How long a token is held whose issuer says nothing of its life (RFC 6749 §5.1), and the longest, milliseconds. */
const LIFE_MS_DEFAULT = 3_600_000;
const LIFE_MS_MAX = 86_400_000;
const TOKEN_CHARS_MAX = 16_384;

/** A token and how long it lives, or a sentence that says why there is none and quotes neither token nor secret. */
export type TokenAnswer =
  | { readonly ok: true; readonly token: string; readonly lifeMs: number }
  | { readonly ok: false; readonly message: string };

export function tokenRequest(settings: OAuth2Settings): { readonly headers: readonly Header[]; readonly body: Buffer } {
  const { clientId, clientSecret, scope, audience, clientAuthentication } = settings;
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  if (scope !== null) form.set("scope", scope);
  if (audience !== null) form.set("audience", audience);
  const headers: Header[] = [
    ["content-type", "application/x-www-form-urlencoded"],
    ["accept", "application/json"],
  ];
  if (clientAuthentication === "body") {
    form.set("client_id", clientId);
    form.set("client_secret", clientSecret);
  } else {
    const pair = `${formEncoded(clientId)}:${formEncoded(clientSecret)}`;
    headers.push(["authorization", `Basic ${Buffer.from(pair).toString("base64")}`]);
  }
  return { headers, body: Buffer.from(form.toString()) };
}

/** RFC 6749 §2.3.1 has id and secret encoded as in a form. */
function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}

export function parseTokenAnswer(statusCode: number, body: Buffer): TokenAnswer {
  const answer = parseObject(body);
  if (statusCode !== 200) {
    const error = typeof answer?.error === "string" ? answer.error : "";
    // The codes of RFC 6749 §5.2 and their like; a description could quote what was sent.
    const code = /^[a-z_]{1,60}$/.test(error) ? ` (${error})` : "";
    return failed(`answered with status ${statusCode}${code}`);
  }
  if (answer === undefined) return failed("did not answer with a JSON object");
  const { access_token: token, token_type: type, expires_in: seconds } = answer;
  if (type !== undefined && String(type).toLowerCase() !== "bearer")
    return failed("issued a token that is no bearer token");
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token) || token.length > TOKEN_CHARS_MAX) {
    return failed("issued no token that can be sent");
  }
  return { ok: true, token, lifeMs: lifeOf(seconds) };
}

/** Some issuers write the number as a string. */
function lifeOf(seconds: unknown): number {
  const lifeMs = typeof seconds === "number" || typeof seconds === "string" ? Number(seconds) * 1_000 : Number.NaN;
  return lifeMs > 0 ? Math.min(lifeMs, LIFE_MS_MAX) : LIFE_MS_DEFAULT;
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const failed = (what: string): TokenAnswer => ({ ok: false, message: `The token endpoint ${what}.` });
