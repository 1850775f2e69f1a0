/** The sources for people: every preset with what follows from its data, in the order of the names. */
import type { Preset } from "./preset.ts";
import { PRESETS } from "./presets.ts";
import type { HmacScheme, PublicKeyScheme, Scheme, VendorCode } from "./scheme.ts";
import { findSource, needsPublicUrl } from "./source.ts";
import * as contentful from "./vendors/contentful.ts";
import * as plaid from "./vendors/plaid.ts";

/** One way in which a request of the source proves where it comes from. */
export interface FormFacts {
  readonly scheme: Scheme;
  /** Headers that may hold the signature or the token. */
  readonly headers: readonly string[];
  /** The template of what is signed; undefined where none says it. */
  readonly content: string | undefined;
  /** Seconds; null where there is no timestamp or no bound. */
  readonly toleranceSeconds: number | null;
  readonly futureToleranceSeconds: number | null;
}

export interface SourceFacts {
  readonly name: string;
  readonly preset: Preset;
  readonly forms: readonly FormFacts[];
  readonly publicUrlRequired: boolean;
}

/** Schemes with code of their own that judge a time by a bound of theirs, seconds. */
const CODE_TOLERANCE_SECONDS: Partial<Record<VendorCode, number>> = {
  contentful: contentful.TOLERANCE_SECONDS,
  plaid: plaid.TOLERANCE_SECONDS,
};

/** Every source, by name. */
export const CATALOGUE: readonly SourceFacts[] = Object.entries(PRESETS)
  .map(([name, preset]) => factsOf(name, preset))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

const byName = new Map(CATALOGUE.map((facts) => [facts.name, facts]));

/** The source of that name or second name; undefined for a name that nobody listed, which behaves as `custom`. */
export function findInCatalogue(text: string): SourceFacts | undefined {
  const { name } = findSource(text);
  const isKnown = name !== "custom" || text.toLowerCase() === "custom";
  return isKnown ? byName.get(name) : undefined;
}

function factsOf(name: string, preset: Preset): SourceFacts {
  return {
    name,
    preset,
    forms: preset.schemes.map(formFacts),
    publicUrlRequired: needsPublicUrl(findSource(name)),
  };
}

function formFacts(scheme: Scheme): FormFacts {
  const own = scheme.kind === "code" ? (CODE_TOLERANCE_SECONDS[scheme.code] ?? null) : null;
  const { tol = own, future = null } = (isSigned(scheme) && scheme.ts) || {};
  return {
    scheme,
    headers: headersOf(scheme),
    content: contentOf(scheme),
    toleranceSeconds: tol,
    futureToleranceSeconds: future,
  };
}

function isSigned(scheme: Scheme): scheme is HmacScheme | PublicKeyScheme {
  return "sig" in scheme;
}

function contentOf(scheme: Scheme): string | undefined {
  return isSigned(scheme) ? (scheme.content ?? "{body}") : undefined;
}

function headersOf(scheme: Scheme): readonly string[] {
  if (isSigned(scheme)) return scheme.sig.from === "body" ? [] : [scheme.sig.name, ...(scheme.sig.extra ?? [])];
  if (scheme.kind === "token") return scheme.token.from === "body" ? [] : [scheme.token.name];
  return scheme.kind === "basic" ? ["authorization"] : [];
}
