/** A webhook's own settings → the forms that its requests may have. Every mistake is named by its field. */
import type { Preset } from "../preset.ts";
import type { HmacScheme, PublicKeyScheme, Scheme } from "../scheme.ts";
import { coverageOfForm, identityOf } from "./identity.ts";
import {
  GENERAL_SCHEMES,
  type GeneralScheme,
  type Identity,
  type Verification,
  VerificationError,
} from "./settings.ts";
import { placeOf, signedParts } from "./signed.ts";

type Setting = keyof Verification;
const ALWAYS: readonly Setting[] = ["scheme", "eventType", "eventId", "repeats"];
const SIGNED: readonly Setting[] = [
  ...ALWAYS,
  ...(["header", "bodyField", "prefix", "list", "algorithm", "encoding", "content", "timestamp", "key"] as const),
];
const SETTINGS: Readonly<Record<GeneralScheme, readonly Setting[]>> = {
  hmac: SIGNED,
  "public-key": SIGNED,
  token: [...ALWAYS, "header", "bodyField", "prefix"],
  basic: ALWAYS,
  none: ALWAYS,
};

const HMAC_ALGORITHMS = ["sha256", "sha1", "sha512"] as const;
const HMAC_DECODINGS = ["utf8", "utf8-nfkd", "base64", "hex"] as const;
const PUBLIC_KEY_ALGORITHMS = ["ed25519", "ecdsa-sha256", "rsa-sha1", "rsa-sha256"] as const;
const PUBLIC_KEY_DECODINGS = {
  ed25519: ["raw-hex", "raw-base64", "spki"],
  "ecdsa-sha256": ["spki"],
  "rsa-sha1": ["spki"],
  "rsa-sha256": ["spki"],
} as const;

/** The preset with its forms replaced, or reduced and adjusted, as the settings say. Throws VerificationError. */
export function applySettings(name: string, preset: Preset, settings: Verification): Preset {
  const { scheme: chosen } = settings;
  const general = GENERAL_SCHEMES.find((kind) => kind === chosen);
  if (general !== undefined) {
    if (general === "hmac") refuseOracle(name, preset, settings);
    return { ...preset, schemes: [describedScheme(general, settings, defaultsOf(name, preset))] };
  }
  const [first, ...rest] = preset.schemes.filter((scheme) => chosen === undefined || scheme.name === chosen);
  if (first === undefined) {
    const forms = preset.schemes.map((scheme) => scheme.name).join(", ");
    const message = `must be ${GENERAL_SCHEMES.join(", ")} or a form of source ${name} (${forms})`;
    throw new VerificationError("scheme", "in", message);
  }
  checkAdjustments(name, [first, ...rest], settings);
  const adjusted = (scheme: Scheme) => adjustedScheme(scheme, settings, preset.bodyAuthenticated);
  return { ...preset, schemes: [adjusted(first), ...rest.map(adjusted)] };
}

/**
 * Beside a handshake that signs any short token for anybody, a body that is no such token is an event: so it must be
 * what is signed, as it is. Fields of it, or a timestamp before an empty one, could be a token.
 */
function refuseOracle(name: string, { handshakes = [] }: Preset, { content = "{body}" }: Verification): void {
  if (content === "{body}" || !handshakes.some(({ kind, signed }) => kind === "hmac-answer" && !signed)) return;
  const message = `must be {body} with source ${name}, whose handshake signs short texts for anybody`;
  throw new VerificationError("content", "handshake", message);
}

/** Where type and id stand if the settings do not say. `custom` knows a type in the body, and no id. */
function defaultsOf(name: string, { schemes: [first] }: Preset): Identity {
  return name === "custom" ? { type: ["j:type"], id: [] } : first;
}

/** The scheme that the settings describe by themselves. */
function describedScheme(kind: GeneralScheme, settings: Verification, defaults: Identity): Scheme {
  refuseOthers(settings, SETTINGS[kind], `scheme "${kind}"`);
  switch (kind) {
    case "hmac":
      return hmacScheme(settings, defaults);
    case "public-key":
      return publicKeyScheme(settings, defaults);
    case "token":
      return { kind, name: kind, token: placeOf(settings), ...identityOf(settings, defaults, () => true) };
    case "basic":
      return { kind, name: kind, ...identityOf(settings, defaults, () => true) };
    case "none":
      return { kind, name: kind, ...identityOf(settings, defaults, () => false) };
  }
}

function hmacScheme(settings: Verification, defaults: Identity): HmacScheme {
  const { algorithm = "sha256", key = {} } = settings;
  const decode = choose("key.decoding", key.decoding ?? "utf8", HMAC_DECODINGS, 'scheme "hmac"');
  return {
    kind: "hmac",
    name: "hmac",
    ...signedParts(settings, defaults),
    alg: choose("algorithm", algorithm, HMAC_ALGORITHMS, 'scheme "hmac"'),
    hexCase: "any",
    key: { decode, ...stripped(key.prefix) },
  };
}

function publicKeyScheme(settings: Verification, defaults: Identity): PublicKeyScheme {
  const { algorithm, key = {} } = settings;
  const alg = choose("algorithm", algorithm, PUBLIC_KEY_ALGORITHMS, 'scheme "public-key"');
  const decodings = PUBLIC_KEY_DECODINGS[alg];
  const decoding = key.decoding ?? (decodings.length === 1 ? decodings[0] : undefined);
  return {
    kind: "public-key",
    name: "public-key",
    ...signedParts(settings, defaults),
    alg,
    key: { decode: choose("key.decoding", decoding, decodings, `algorithm "${alg}"`), ...stripped(key.prefix) },
  };
}

const stripped = (prefix: string | undefined) => (prefix === undefined ? {} : { strip: [prefix] });

function choose<Value extends string>(
  field: string,
  value: string | undefined,
  values: readonly Value[],
  where: string,
) {
  const chosen = values.find((it) => it === value);
  if (chosen === undefined)
    throw new VerificationError(field, "in", `must be one of ${values.join(", ")} with ${where}`);
  return chosen;
}

/** Refuses what cannot be changed of a preset's forms. */
function checkAdjustments(name: string, schemes: readonly Scheme[], settings: Verification): void {
  const where = `the preset of ${name}: describe a scheme of your own (${GENERAL_SCHEMES.join(", ")})`;
  refuseOthers(settings, [...ALWAYS, "timestamp"], where);
  const { timestamp } = settings;
  if (timestamp === undefined) return;
  for (const setting of ["header", "bodyField", "listKey", "unit"] as const) {
    if (timestamp[setting] !== undefined) throw unused(`timestamp.${setting}`, where);
  }
  if (!schemes.some((scheme) => "ts" in scheme && scheme.ts !== undefined)) {
    throw new VerificationError(
      "timestamp",
      "unused",
      `is of no use: source ${name} has no tolerance that could be changed`,
    );
  }
}

function adjustedScheme(scheme: Scheme, settings: Verification, bodyAuthenticated: boolean): Scheme {
  const { eventId, repeats, timestamp = {} } = settings;
  const { type, id, ...identity } = identityOf(settings, scheme, coverageOfForm(scheme, bodyAuthenticated));
  // Where neither is mentioned the preset knows best.
  const knows = eventId === undefined && repeats === undefined;
  const adjusted = { ...scheme, type, id, repeats: knows ? scheme.repeats : identity.repeats };
  if (!("ts" in adjusted) || adjusted.ts === undefined) return adjusted;
  const { toleranceSeconds: tol = adjusted.ts.tol, futureToleranceSeconds: future = adjusted.ts.future } = timestamp;
  return { ...adjusted, ts: { ...adjusted.ts, tol, future } };
}

function refuseOthers(settings: Verification, taken: readonly Setting[], where: string): void {
  const other = (Object.keys(settings) as Setting[]).find((name) => !taken.includes(name));
  if (other !== undefined) throw unused(other, where);
}

function unused(field: string, where: string): VerificationError {
  return new VerificationError(field, "unused", `is of no use with ${where}`);
}
