/** Presets → what the engine runs: templates parsed, names lowered, defaults filled in, mistakes refused. */
import { type CompiledHandshake, compileHandshake } from "./handshake.ts";
import { hmacMethod, WHOLE_TEXT } from "./hmac.ts";
import { type CompiledLookup, compileLookup } from "./lookup.ts";
import { type BoundMethod, bindMethod } from "./method.ts";
import { noMethod } from "./none.ts";
import type { Preset } from "./preset.ts";
import { publicKeyMethod } from "./public-key.ts";
import type { KeyRule, RepeatPolicy, Scheme } from "./scheme.ts";
import type { SuccessAnswer } from "./success-answer.ts";
import { basicMethod, tokenMethod } from "./token.ts";
import { VENDORS } from "./vendors.ts";

export interface CompiledScheme {
  readonly name: string;
  readonly kind: Scheme["kind"];
  readonly method: BoundMethod;
  readonly body: Scheme["body"];
  readonly type: readonly CompiledLookup[];
  readonly id: readonly CompiledLookup[];
  readonly repeats: RepeatPolicy;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A source ready to verify with. */
export interface CompiledSource {
  readonly name: string;
  readonly schemes: readonly [CompiledScheme, ...CompiledScheme[]];
  /** Whether a request that bears two of the forms is refused. */
  readonly exclusive: boolean;
  /** The scheme's name where only one of several forms is accepted. */
  readonly pinnedTo: string | undefined;
  readonly handshakes: readonly CompiledHandshake[];
  /** How a secret's text keys the handshakes: as it keys the signatures. */
  readonly handshakeKey: KeyRule;
  readonly success: SuccessAnswer | undefined;
  /** Headers (lower case) that show the secret itself: neither kept nor forwarded. */
  readonly credentialHeaders: readonly string[];
}

/** Compiles a preset, all its forms or only `form`. Throws TypeError on a preset that makes no sense. */
export function compileSource(
  name: string,
  preset: Pick<Preset, "schemes" | "forms" | "handshakes" | "success">,
  form?: string,
): CompiledSource {
  const wanted = preset.schemes.filter((scheme) => form === undefined || scheme.name === form);
  const [first, ...rest] = wanted.map(compileScheme);
  if (first === undefined) throw new TypeError(`source ${name} has no form ${form}`);
  const schemes = [first, ...rest] as const;
  return {
    name,
    schemes,
    exclusive: preset.forms !== "preferred",
    pinnedTo: form,
    handshakes: (preset.handshakes ?? []).map(compileHandshake),
    handshakeKey: wanted.find((scheme) => scheme.kind === "hmac")?.key ?? WHOLE_TEXT,
    success: preset.success,
    credentialHeaders: schemes.flatMap(({ method }) => method.credentialHeaders ?? []),
  };
}

function compileScheme(scheme: Scheme): CompiledScheme {
  return {
    name: scheme.name,
    kind: scheme.kind,
    method: compileMethod(scheme),
    body: scheme.body,
    type: scheme.type.map(compileLookup),
    id: scheme.id.map(compileLookup),
    repeats: scheme.repeats,
    headers: Object.entries(scheme.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  };
}

function compileMethod(scheme: Scheme): BoundMethod {
  switch (scheme.kind) {
    case "hmac":
      return bindMethod(hmacMethod(scheme));
    case "public-key":
      return bindMethod(publicKeyMethod(scheme));
    case "token":
      return bindMethod(tokenMethod(scheme));
    case "basic":
      return bindMethod(basicMethod(scheme));
    case "code":
      return VENDORS[scheme.code];
    case "none":
      return noMethod;
  }
}
