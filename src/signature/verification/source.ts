/** A source's name and a webhook's own settings → what the engine runs. Compiled once, when the webhook is loaded. */
import { type CompiledSource, compileSource } from "../compile.ts";
import { PRESETS } from "../presets.ts";
import { findSource } from "../source.ts";
import { applySettings } from "./scheme.ts";
import { GENERAL_SCHEMES, type Verification } from "./settings.ts";

/** Throws VerificationError if the settings make no sense for the source. Without settings: the preset as it is. */
export function findSourceWith(name: string, settings: Verification | null): CompiledSource {
  const source = findSource(name);
  const preset = PRESETS[source.name];
  if (settings === null || preset === undefined) return source;
  const { scheme } = settings;
  const pinned = GENERAL_SCHEMES.some((kind) => kind === scheme) ? undefined : scheme;
  return compileSource(source.name, applySettings(source.name, preset, settings), pinned);
}
