/** Requests to a destination that wants to see credentials: they are added, renewed once, and kept out of the record. */
import { type AuthSettings, authHeader, type DestinationCredentials } from "../core/destination-credentials.ts";
import { REDACTED } from "../core/redact-headers.ts";
import type { Exchange, Header } from "../outbound/exchange.ts";
import { failureOf } from "../outbound/failure.ts";
import type { HttpClient } from "../outbound/http-client.ts";
import { NO_EXCHANGE, NO_TIMES, type OutboundRequest, type OutboundResult, sendRequest } from "../outbound/request.ts";
import type { AttemptFailure } from "./attempt-error.ts";
import type { OAuth2Tokens } from "./oauth2-tokens.ts";

/** What one destination is shown, and whose tokens are used for it. */
export interface Access {
  readonly destinationId: string;
  readonly credentials: DestinationCredentials;
}

export interface AccessContext {
  readonly client: HttpClient;
  readonly tokens: OAuth2Tokens;
}

/** As `sendRequest` answers; the failure may also be that there is no token. */
export type Sent = Omit<OutboundResult, "failure"> & { readonly failure: AttemptFailure | null };

/** Secrets shorter than this are not looked for in what comes back: they would be found by chance. */
const ECHO_CHARS_MIN = 6;

/**
 * Sends the request with the destination's credentials. Where the destination refuses a token that is not new (401),
 * another is fetched and the request sent once more. Never rejects.
 */
export async function sendWithAccess(
  { client, tokens }: AccessContext,
  request: OutboundRequest,
  { destinationId, credentials }: Access,
  signal: AbortSignal,
  peer: string,
): Promise<Sent> {
  const { auth, certificate } = credentials;
  const send = async (header: Header | null): Promise<Sent> => {
    const own = header === null ? credentials.headers : [...credentials.headers, header];
    const headers = [...request.headers.filter(([name]) => !credentials.headerNames.includes(name)), ...own];
    const sent = await sendRequest(
      client,
      { ...request, headers, certificate: certificate ?? undefined },
      signal,
      peer,
    );
    return { ...sent, response: withoutEchoes(sent.response, secretsOf(credentials, header)) };
  };
  if (auth === null) return await send(null);
  if (auth.type !== "oauth2") return await send(headerOf(auth));
  try {
    const first = await tokens.token(destinationId, auth, signal);
    if (!first.ok) return notSent({ code: "oauth2", message: first.message });
    const sent = await send(bearer(first.token));
    if (sent.response.statusCode !== 401) return sent;
    tokens.refuse(destinationId, first.token);
    const second = await tokens.token(destinationId, auth, signal);
    return second.ok && second.token !== first.token ? await send(bearer(second.token)) : sent;
  } catch (error) {
    return notSent(lateToken(error, peer));
  }
}

/** The deadline or the caller ended the wait for a token. */
function lateToken(error: unknown, peer: string): AttemptFailure {
  const failure = failureOf(error, peer);
  if (failure.code !== "timeout") return failure;
  return { code: "oauth2", message: "The token endpoint did not answer before the attempt's deadline." };
}

const notSent = (failure: AttemptFailure): Sent => ({
  response: NO_EXCHANGE,
  failure,
  remoteAddress: null,
  times: NO_TIMES,
});

const bearer = (token: string): Header => ["authorization", `Bearer ${token}`];

function headerOf(auth: Exclude<AuthSettings, { type: "oauth2" }>): Header {
  switch (auth.type) {
    case "basic":
      return ["authorization", `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString("base64")}`];
    case "bearer":
      return bearer(auth.token);
    case "apiKey":
      return [authHeader(auth), auth.value];
  }
}

/** Whatever must not be read in the record of an answer, the longest first. */
function secretsOf({ headers, auth }: DestinationCredentials, header: Header | null): string[] {
  const sent = header === null ? [] : [header[1], header[1].replace(/^(?:Basic|Bearer) /, "")];
  const password = auth?.type === "basic" ? [auth.password] : [];
  return [...headers.map(([, value]) => value), ...sent, ...password]
    .filter((text) => text.length >= ECHO_CHARS_MIN)
    .sort((one, other) => other.length - one.length);
}

/** The answer of a destination that repeats what it was sent, as some do, without our secrets in it. */
function withoutEchoes(response: Exchange, secrets: readonly string[]): Exchange {
  // A body's bytes are looked at as they are, one character each.
  const inBody = secrets.map((secret) => Buffer.from(secret).toString("latin1"));
  const body = response.body.toString("latin1");
  const cleanBody = inBody.reduce(redact, body);
  return {
    ...response,
    headers: response.headers.map(([name, value]): Header => [name, secrets.reduce(redact, value)]),
    body: cleanBody === body ? response.body : Buffer.from(cleanBody, "latin1"),
  };
}

const redact = (text: string, secret: string): string => text.replaceAll(secret, REDACTED);
