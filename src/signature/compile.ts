/** Presets → what the engine runs: templates parsed, names lowered, defaults filled in, mistakes refused. */
import type { Preset } from "./preset.ts";
import type { HmacAlgorithm, HmacScheme, KeyRule, Lookups, RepeatPolicy, Scheme, SignatureEncoding } from "./scheme.ts";
import { type Chunk, parseTemplate } from "./template.ts";

/** A header's value or a field of the JSON body. */
export type CompiledPlace =
  | { readonly from: "header"; readonly name: string }
  | { readonly from: "body"; readonly name: string; readonly path: readonly string[] };

export interface CompiledSignature {
  /** Where signatures are looked for; all that are there count. */
  readonly places: readonly [CompiledPlace, ...CompiledPlace[]];
  readonly item: string | undefined;
  readonly kv: "=" | "," | undefined;
  readonly key: string;
  readonly prefix: string;
  /** Splits a value into items. */
  readonly separator: RegExp;
}

export interface CompiledTimestamp {
  readonly place: CompiledPlace | { readonly from: "sig"; readonly name: string };
  readonly unit: "s" | "ms" | "iso";
  readonly pastSecondsMax: number | null;
  readonly futureSecondsMax: number | null;
}

/** The parts of one lookup: the first is required, the rest are appended where they are there. */
export type CompiledLookup = readonly [CompiledPlace, ...CompiledPlace[]];

export interface CompiledScheme {
  readonly name: string;
  readonly kind: Scheme["kind"];
  readonly signature: CompiledSignature;
  readonly algorithm: HmacAlgorithm;
  readonly encoding: SignatureEncoding;
  readonly hexCase: "lower" | "any";
  readonly content: readonly Chunk[];
  readonly timestamp: CompiledTimestamp | undefined;
  readonly key: KeyRule;
  readonly type: readonly CompiledLookup[];
  readonly id: readonly CompiledLookup[];
  readonly repeats: RepeatPolicy;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A source ready to verify with. `pinnedTo` is the scheme's name where only one of several forms is accepted. */
export interface CompiledSource {
  readonly name: string;
  readonly schemes: readonly [CompiledScheme, ...CompiledScheme[]];
  readonly pinnedTo: string | undefined;
}

/** Compiles a preset, all its forms or only `form`. Throws TypeError on a preset that makes no sense. */
export function compileSource(name: string, preset: Pick<Preset, "schemes">, form?: string): CompiledSource {
  const [first, ...rest] = preset.schemes.filter((scheme) => form === undefined || scheme.name === form);
  if (first === undefined) throw new TypeError(`source ${name} has no form ${form}`);
  return { name, schemes: [compileScheme(first), ...rest.map(compileScheme)], pinnedTo: form };
}

function compileScheme(scheme: Scheme): CompiledScheme {
  if (scheme.kind !== "hmac") throw new TypeError(`scheme ${scheme.name}: the engine runs no ${scheme.kind}`);
  const content = parseTemplate(scheme.content ?? "{body}");
  if (content.some((chunk) => chunk.from === "ts") && scheme.ts === undefined) {
    throw new TypeError(`scheme ${scheme.name}: {ts} needs a timestamp`);
  }
  return {
    name: scheme.name,
    kind: scheme.kind,
    signature: compileSignature(scheme),
    algorithm: scheme.alg ?? "sha256",
    encoding: scheme.enc ?? "hex",
    hexCase: scheme.hexCase ?? "lower",
    content,
    timestamp: compileTimestamp(scheme),
    key: scheme.key ?? { decode: "utf8" },
    type: compileLookups(scheme.type),
    id: compileLookups(scheme.id),
    repeats: scheme.repeats,
    headers: Object.entries(scheme.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  };
}

function compileSignature({ name, sig }: HmacScheme): CompiledSignature {
  if ((sig.kv === undefined) !== (sig.key === undefined)) {
    throw new TypeError(`scheme ${name}: sig.kv and sig.key go together`);
  }
  const from = sig.from ?? "header";
  // Where the comma separates key and value it cannot separate items as well.
  const separators = `${sig.item ?? ""}${sig.kv === "," ? "" : ","}`;
  return {
    places: [compilePlace(from, sig.name), ...(sig.extra ?? []).map((extra) => compilePlace(from, extra))],
    item: sig.item,
    kv: sig.kv,
    key: sig.key ?? "",
    prefix: sig.prefix ?? "",
    separator: new RegExp(`[${separators}]`),
  };
}

function compileTimestamp({ name, sig, ts }: HmacScheme): CompiledTimestamp | undefined {
  if (ts === undefined) return undefined;
  if (ts.from === "sig" && sig.kv === undefined) throw new TypeError(`scheme ${name}: ts.from sig needs sig.kv`);
  return {
    place: ts.from === "sig" ? { from: "sig", name: ts.name } : compilePlace(ts.from, ts.name),
    unit: ts.unit,
    pastSecondsMax: ts.tol,
    futureSecondsMax: ts.future,
  };
}

function compilePlace(from: "header" | "body", name: string): CompiledPlace {
  return from === "header" ? { from, name: name.toLowerCase() } : { from, name, path: name.split(".") };
}

function compileLookups(lookups: Lookups): readonly CompiledLookup[] {
  return lookups.map((lookup) => {
    const [first, ...rest] = lookup.split("+").map(lookupPart);
    if (first === undefined) throw new TypeError(`lookup ${lookup} is empty`);
    return [first, ...rest];
  });
}

function lookupPart(text: string): CompiledPlace {
  if (text.startsWith("h:")) return compilePlace("header", text.slice(2));
  if (text.startsWith("j:")) return compilePlace("body", text.slice(2));
  throw new TypeError(`lookup ${text} must begin with h: or j:`);
}
