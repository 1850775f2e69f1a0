/** How a webhook authenticates to its destination: what a caller may ask for, against what stands. Pure. */
import { invalidField } from "../errors.ts";
import { headerNameProblem, headerValueProblem } from "./custom-headers.ts";
import type { AuthSettings, OAuth2Settings } from "./destination-credentials.ts";
import { REDACTED } from "./redact-headers.ts";
import type { UrlCheck } from "./webhook-settings.ts";

const FIELD = "forwarding.auth";

/**
 * The authentication that a caller asks for; "[redacted]" keeps the secret that stands, if that is of the same type.
 * `usesKept` tells whether one was kept. Throws BAD_REQUEST that names the field.
 */
export function resolveAuth(
  given: AuthSettings,
  kept: AuthSettings | null,
  checkUrl: UrlCheck,
): { readonly auth: AuthSettings; readonly usesKept: boolean } {
  let usesKept = false;
  const secret = (name: string, value: string, stands: string | undefined): string => {
    const field = `${FIELD}.${given.type}.${name}`;
    if (value !== REDACTED) return checkText(field, value);
    if (stands === undefined) {
      throw invalidField(field, "redacted", `has no value to keep; send one instead of "${REDACTED}"`);
    }
    usesKept = true;
    return stands;
  };
  const auth = resolve(given, kept, secret, checkUrl);
  return { auth, usesKept };
}

type Secret = (name: string, value: string, stands: string | undefined) => string;

function resolve(given: AuthSettings, kept: AuthSettings | null, secret: Secret, checkUrl: UrlCheck): AuthSettings {
  switch (given.type) {
    case "basic": {
      const username = checkText(`${FIELD}.basic.username`, given.username);
      if (username.includes(":")) throw invalidField(`${FIELD}.basic.username`, "basic", "must not contain a colon");
      const stands = kept?.type === "basic" ? kept.password : undefined;
      return { type: "basic", username, password: secret("password", given.password, stands) };
    }
    case "bearer": {
      const token = secret("token", given.token, kept?.type === "bearer" ? kept.token : undefined);
      return { type: "bearer", token: checkHeader(`${FIELD}.bearer.token`, token) };
    }
    case "apiKey": {
      const problem = headerNameProblem(given.name);
      if (problem !== null) throw invalidField(`${FIELD}.apiKey.name`, "headers.name", problem);
      const value = secret("value", given.value, kept?.type === "apiKey" ? kept.value : undefined);
      return { type: "apiKey", name: given.name.toLowerCase(), value: checkHeader(`${FIELD}.apiKey.value`, value) };
    }
    case "oauth2":
      return resolveOAuth2(given, kept?.type === "oauth2" ? kept : null, secret, checkUrl);
  }
}

function resolveOAuth2(
  given: OAuth2Settings,
  kept: OAuth2Settings | null,
  secret: Secret,
  checkUrl: UrlCheck,
): OAuth2Settings {
  const tokenUrl = given.tokenUrl.trim();
  const verdict = checkUrl(tokenUrl);
  if (!verdict.ok) throw invalidField(`${FIELD}.oauth2.tokenUrl`, verdict.rule, verdict.message);
  const clientId = checkText(`${FIELD}.oauth2.clientId`, given.clientId);
  const elsewhere = kept !== null && originOf(kept.tokenUrl) !== originOf(tokenUrl);
  if (elsewhere && given.clientSecret === REDACTED) {
    const message = "must be sent again with a token URL of another origin; the one that stands is for the old one";
    throw invalidField(`${FIELD}.oauth2.clientSecret`, "origin", message);
  }
  return {
    type: "oauth2",
    tokenUrl,
    clientId,
    clientSecret: secret("clientSecret", given.clientSecret, kept?.clientSecret),
    scope: given.scope || null,
    audience: given.audience || null,
    clientAuthentication: given.clientAuthentication,
  };
}

/** The scheme, host and port of a URL that can be parsed. */
export function originOf(url: string): string {
  return new URL(url).origin;
}

function checkText(field: string, value: string): string {
  if (value === "") throw invalidField(field, "required", "must not be empty");
  if (/\p{Cc}/u.test(value)) throw invalidField(field, "text", "must not contain control characters");
  return value;
}

function checkHeader(field: string, value: string): string {
  const problem = headerValueProblem(value);
  if (problem !== null) throw invalidField(field, "headers.value", problem);
  return value;
}
