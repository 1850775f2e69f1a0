/** Sentences for refusals that need to look around. */
import type { CompiledScheme, CompiledSource } from "./compile.ts";
import { keyForm } from "./key.ts";
import { PRESETS } from "./presets.ts";
import type { InboundRequest } from "./request.ts";

/** Every header in which some preset expects a signature. */
const SIGNATURE_HEADERS: readonly string[] = [
  ...new Set(
    Object.values(PRESETS)
      .flatMap((preset) => preset.schemes)
      .flatMap((scheme) => ("sig" in scheme && scheme.sig.from !== "body" ? [scheme.sig] : []))
      .flatMap((sig) => [sig.name, ...(sig.extra ?? [])])
      .map((name) => name.toLowerCase()),
  ),
];

/** Which signature is missing, and whether another provider's is there instead. */
export function describeMissing(source: CompiledSource, request: InboundRequest): string {
  const expected = source.schemes.flatMap((scheme) => scheme.signature.places.map((place) => place.name));
  const missing = `${expected.join(" or ")} is missing`;
  const other = SIGNATURE_HEADERS.find((name) => !expected.includes(name) && request.header(name));
  if (other === undefined) return missing;
  const what = source.pinnedTo === undefined ? "source is" : `source is ${source.name}, pinned to`;
  return `${missing}; ${other} present, but the ${what} ${source.pinnedTo ?? source.name}`;
}

/** Why no active secret can key the scheme that the request uses. */
export function describeUnusableSecrets(source: CompiledSource, scheme: CompiledScheme, secretCount: number): string {
  if (secretCount === 0) return "the webhook has no active secret";
  const header = scheme.signature.places[0].name;
  return `${header} needs a secret that is ${keyForm(scheme.key)}; this webhook (source ${source.name}) has none`;
}
