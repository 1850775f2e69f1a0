/** Schemes in which a request shows the secret itself: a token, or HTTP Basic credentials. */
import { createHash, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { sameBytes } from "../security/constant-time.ts";
import { decodeBase64, GENERATED_SECRET_BYTES, textProblem } from "./key.ts";
import type { IndexedKey, Method, ParsedKey } from "./method.ts";
import { type CompiledPlace, compilePlace, placeTexts } from "./place.ts";
import type { BasicScheme, TokenScheme } from "./scheme.ts";
import { setInBody } from "./signed.ts";
import { type Refusal, refusal } from "./verdict.ts";

/** Longest token that is looked at, characters. */
export const TOKEN_CHARS_MAX = 8_192;

/** The key is the SHA-256 of the token: only hashes are compared, whose length says nothing. */
export function tokenMethod({ token }: TokenScheme): Method<KeyObject> {
  const place = compilePlace(token);
  const { prefix = "" } = token;
  return {
    ...presentedMethod(place),
    keyKind: "token",
    secretForm: "any text",
    readKey: readToken,
    generate: tokenText,
    judge: (keys, request) => {
      const texts = placeTexts(place, request).map((text) => withoutPrefix(text, prefix, false));
      return judgePresented(keys, texts, place.name);
    },
    sign(_key, draft, text) {
      if (place.from === "header") draft.headers.set(place.name, prefix + text);
      else setInBody(draft, place.path, prefix + text);
    },
  };
}

export function basicMethod(_scheme: BasicScheme): Method<KeyObject> {
  const place = compilePlace({ name: "authorization" });
  const form = "user:password";
  return {
    ...presentedMethod(place),
    keyKind: "basic",
    secretForm: form,
    readKey: (text) => (/^[^:]+:./.test(text) ? readToken(text) : { ok: false, problem: `must be ${form}` }),
    generate: () => `alumia:${tokenText()}`,
    judge: (keys, request) => {
      const encoded = withoutPrefix(request.header(place.name), "Basic ", true);
      const credentials = encoded === undefined ? undefined : decodeBase64(encoded);
      return judgePresented(keys, [credentials?.toString("utf8")], place.name);
    },
    sign: (_key, draft, text) => draft.headers.set(place.name, `Basic ${Buffer.from(text).toString("base64")}`),
  };
}

function presentedMethod(place: CompiledPlace): Pick<Method<never>, "places" | "needsUrl" | "credentialHeaders"> {
  return { places: [place], needsUrl: false, credentialHeaders: place.from === "header" ? [place.name] : [] };
}

function readToken(text: string): ParsedKey<KeyObject> {
  const problem = textProblem(text);
  return problem === undefined ? { ok: true, key: hashed(text) } : { ok: false, problem };
}

/** Every text must be one of the tokens; the answer is the first one's secret. */
export function judgePresented(
  keys: readonly IndexedKey<KeyObject>[],
  texts: readonly (string | undefined)[],
  name: string,
): number | Refusal {
  let first: number | undefined;
  for (const text of new Set(texts)) {
    if (text === undefined || text === "" || text.length > TOKEN_CHARS_MAX) {
      return refusal("malformed_signature", `${name} holds no token of the expected form`);
    }
    const presented = hashed(text).export();
    const found = keys.filter(({ key }) => sameBytes(key.export(), presented))[0];
    if (found === undefined) return refusal("signature", `${name} is not the webhook's secret`);
    first ??= found.index;
  }
  return first ?? refusal("missing_signature", `${name} is missing`);
}

/** A new token, of characters that every provider takes. */
export function tokenText(): string {
  return randomBytes(GENERATED_SECRET_BYTES).toString("base64url");
}

export function hashed(text: string): KeyObject {
  return createSecretKey(createHash("sha256").update(text, "utf8").digest());
}

/** Undefined where the prefix is not there. The names of authorization schemes have no case (RFC 9110, 11.1). */
function withoutPrefix(text: string | undefined, prefix: string, anyCase: boolean): string | undefined {
  if (text === undefined) return undefined;
  const head = text.slice(0, prefix.length);
  const matches = anyCase ? head.toLowerCase() === prefix.toLowerCase() : head === prefix;
  return matches ? text.slice(prefix.length) : undefined;
}
