/** Source names → compiled sources. Everything is compiled when this module loads. */
import { type CompiledSource, compileSource } from "./compile.ts";
import type { Judge } from "./method.ts";
import { PRESETS } from "./presets.ts";
import { SYSTEM } from "./system.ts";

/** Most secrets that may be active for one webhook at a time. */
export const ACTIVE_SECRETS_MAX = 16;

/** The names of the presets, in the order of the table. */
export const SOURCE_NAMES: readonly string[] = Object.keys(PRESETS);

/** All sources, in the order of the table. */
export const SOURCES: readonly CompiledSource[] = SOURCE_NAMES.map((name) => compilePreset(name));

const sourcesByName = new Map<string, CompiledSource>([[SYSTEM.name, SYSTEM]]);
/** Sources of several forms, reduced to one of them, by name and form. */
const pinned = new Map<string, CompiledSource>();
for (const source of SOURCES) {
  for (const known of [source.name, ...(PRESETS[source.name]?.aliases ?? [])]) {
    if (sourcesByName.has(fold(known))) throw new TypeError(`two sources are called ${known}`);
    sourcesByName.set(fold(known), source);
  }
  for (const form of formsOf(source)) pinned.set(`${source.name} ${form}`, compilePreset(source.name, form));
}
const custom = sourcesByName.get("custom") ?? compilePreset("custom");

/**
 * The source of that name or second name, without regard to case and hyphens, `SYSTEM` too; unknown names are `custom`. `form` pins a
 * source of several forms to one of `formsOf` and changes nothing for other sources. The same arguments give the same
 * object.
 */
export function findSource(name: string, form?: string): CompiledSource {
  const source = sourcesByName.get(fold(name)) ?? custom;
  return pinned.get(`${source.name} ${form}`) ?? source;
}

/** The forms that a source can be pinned to: the names of its schemes, if it has several. */
export function formsOf({ schemes }: CompiledSource): readonly string[] {
  return schemes.length > 1 ? schemes.map((scheme) => scheme.name) : [];
}

/** The kind of key that the source takes. Going over to another kind needs another secret. */
export function keyKind(source: CompiledSource): string {
  return source.schemes[0].method.keyKind;
}

/** What is wrong with a secret's text for this source, to stand after "secret:", without quoting it; null if nothing. */
export function secretProblem(source: CompiledSource, text: string): string | null {
  const problems = source.schemes.map(({ method }) => method.secretProblem(text));
  return problems.includes(undefined) ? null : (problems.at(-1) ?? null);
}

/** What a secret's text must be, in words: for each form of the source. */
export function secretForm(source: CompiledSource): string {
  return [...new Set(source.schemes.map(({ method }) => method.secretForm))].join("; or ");
}

/** A new secret's text for the source; undefined where only the provider can make it. */
export function generateSecretFor(source: CompiledSource): string | undefined {
  return source.schemes[0].method.generate?.();
}

/** Whether the source's signature covers the URL, so that requests are refused without PUBLIC_URL. */
export function needsPublicUrl(source: CompiledSource): boolean {
  return source.schemes.some(({ method }) => method.needsUrl);
}

/** Keys made ready for one source. */
export interface PreparedSecrets {
  readonly source: CompiledSource;
  /** How many texts there were. */
  readonly count: number;
  /** Per scheme of the source; undefined where none of the texts can key it. */
  readonly judges: readonly (Judge | undefined)[];
}

/**
 * Decodes the active secrets once, to be kept with the webhook. A text that cannot key a scheme is passed over
 * there; the verdict says so. Throws RangeError above ACTIVE_SECRETS_MAX texts.
 */
export function prepareSecrets(source: CompiledSource, texts: readonly string[]): PreparedSecrets {
  if (texts.length > ACTIVE_SECRETS_MAX) throw new RangeError(`at most ${ACTIVE_SECRETS_MAX} secrets can be active`);
  return { source, count: texts.length, judges: source.schemes.map(({ method }) => method.prepare(texts)) };
}

function compilePreset(name: string, form?: string): CompiledSource {
  const preset = PRESETS[name];
  if (preset === undefined) throw new TypeError(`no preset is named ${name}`);
  return compileSource(name, preset, form);
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll("-", "");
}
