/** Sentences for refusals that need to look around. */
import type { CompiledScheme, CompiledSource } from "./compile.ts";
import type { InboundRequest } from "./request.ts";
import { SOURCES } from "./source.ts";

/** Every header in which some source expects a signature, but those that anybody sends. */
export const SIGNATURE_HEADERS: readonly string[] = [
  ...new Set(
    SOURCES.flatMap((source) => source.schemes)
      .flatMap(({ method }) => method.places)
      .flatMap((place) => (place.from === "header" && place.name !== "authorization" ? [place.name] : [])),
  ),
];

/** Which signature is missing, and whether another provider's is there instead. */
export function describeMissing(source: CompiledSource, request: InboundRequest): string {
  const expected = [...new Set(source.schemes.flatMap(({ method }) => method.places.map((place) => place.name)))];
  const missing = `${expected.join(" or ")} is missing`;
  const other = SIGNATURE_HEADERS.find((name) => !expected.includes(name) && request.header(name));
  if (other === undefined) return missing;
  const what = source.pinnedTo === undefined ? "source is" : `source is ${source.name}, pinned to`;
  return `${missing}; ${other} present, but the ${what} ${source.pinnedTo ?? source.name}`;
}

/** Why no active secret can key the scheme that the request uses. */
export function describeUnusableSecrets(source: CompiledSource, scheme: CompiledScheme, secretCount: number): string {
  if (secretCount === 0) return "the webhook has no active secret";
  const what = scheme.method.places[0]?.name ?? scheme.name;
  return `${what} needs a secret that is ${scheme.method.secretForm}; this webhook (source ${source.name}) has none`;
}
