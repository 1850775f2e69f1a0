/** Requests for tests, and the shortest way from headers and a secret to a verdict. */
import type { CompiledSource } from "../../src/signature/compile.ts";
import { isNeededKey, type KeyLookup } from "../../src/signature/needed-key.ts";
import type { InboundRequest } from "../../src/signature/request.ts";
import { findSource, prepareSecrets } from "../../src/signature/source.ts";
import type { Verdict } from "../../src/signature/verdict.ts";
import { verify } from "../../src/signature/verify.ts";

/** 2023-11-14T22:13:20Z, the time of most vectors. */
export const T = 1_700_000_000;
export const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
export const OTHER_WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

export type Headers = Readonly<Record<string, string | undefined>>;

export function inbound(headers: Headers, body: string | Buffer, at: { method?: string; url?: string } = {}) {
  const byName = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const request: InboundRequest = {
    header: (name) => byName.get(name),
    body: Buffer.from(body),
    method: at.method ?? "POST",
    url: at.url,
  };
  return request;
}

export function judge(
  source: string | CompiledSource,
  secrets: string | readonly string[],
  request: InboundRequest,
  nowSeconds = T,
  fetched?: KeyLookup,
): Verdict {
  const compiled = typeof source === "string" ? findSource(source) : source;
  const texts = typeof secrets === "string" ? [secrets] : secrets;
  return verdictOf(verify(compiled, prepareSecrets(compiled, texts), request, nowSeconds * 1000, fetched));
}

/** The verdict of a request that needs no key to be fetched. */
export function verdictOf(outcome: ReturnType<typeof verify>): Verdict {
  if (isNeededKey(outcome)) throw new Error(`a key must be fetched: ${outcome.keyId}`);
  return outcome;
}
