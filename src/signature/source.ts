/** Source names → compiled sources. Everything is compiled when this module loads. */
import type { KeyObject } from "node:crypto";
import { type CompiledSource, compileSource } from "./compile.ts";
import { parseKey } from "./key.ts";
import { PRESETS } from "./presets.ts";
import type { Scheme } from "./scheme.ts";

/** Most secrets that may be active for one webhook at a time. */
export const ACTIVE_SECRETS_MAX = 16;

/** The names of the presets, in the order of the table. */
export const SOURCE_NAMES: readonly string[] = Object.keys(PRESETS);

/** The forms that a webhook whose source is `custom` can be pinned to. */
export const CUSTOM_FORMS = ["standardwebhooks", "hub-signature-256"] as const;
export type CustomForm = (typeof CUSTOM_FORMS)[number];

const custom = compilePreset("custom");
const customByForm = new Map(CUSTOM_FORMS.map((form) => [form, compilePreset("custom", form)]));
const sourcesByName = new Map<string, CompiledSource>();
for (const [name, preset] of Object.entries(PRESETS)) {
  const source = name === "custom" ? custom : compilePreset(name);
  for (const known of [name, ...(preset.aliases ?? [])]) sourcesByName.set(fold(known), source);
}

/**
 * The source of that name or second name, without regard to case and hyphens; unknown names are `custom`. `form`
 * pins `custom` to one of its forms and changes nothing for other sources. The same arguments give the same
 * object.
 */
export function findSource(name: string, form?: CustomForm): CompiledSource {
  const source = sourcesByName.get(fold(name)) ?? custom;
  return source === custom && form !== undefined ? (customByForm.get(form) ?? custom) : source;
}

/** The kind of key that the source takes. Going over to another kind needs another secret. */
export function keyKind(source: CompiledSource): Scheme["kind"] {
  return source.schemes[0].kind;
}

/** What is wrong with a secret's text for this source, to stand after "secret:", without quoting it; null if nothing. */
export function secretProblem(source: CompiledSource, text: string): string | null {
  let problem: string | null = null;
  for (const scheme of source.schemes) {
    const parsed = parseKey(scheme.key, text);
    if (parsed.ok) return null;
    problem = parsed.problem;
  }
  return problem;
}

/** Keys made ready for one source: per scheme of the source, per secret; null where the text cannot key it. */
export interface PreparedSecrets {
  readonly source: CompiledSource;
  readonly keys: readonly (readonly (KeyObject | null)[])[];
}

/**
 * Decodes the active secrets once, to be kept with the webhook. A text that cannot key a scheme is passed over
 * there; the verdict says so. Throws RangeError above ACTIVE_SECRETS_MAX texts.
 */
export function prepareSecrets(source: CompiledSource, texts: readonly string[]): PreparedSecrets {
  if (texts.length > ACTIVE_SECRETS_MAX) throw new RangeError(`at most ${ACTIVE_SECRETS_MAX} secrets can be active`);
  const keys = source.schemes.map((scheme) =>
    texts.map((text) => {
      const parsed = parseKey(scheme.key, text);
      return parsed.ok ? parsed.key : null;
    }),
  );
  return { source, keys };
}

function compilePreset(name: string, form?: CustomForm): CompiledSource {
  const preset = PRESETS[name];
  if (preset === undefined) throw new TypeError(`no preset is named ${name}`);
  return compileSource(name, preset, form);
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll("-", "");
}
