/** Every vector: accepted as it is, refused when anything of it is changed, and judged in time as its vendor does. */
import { generateKeyPairSync } from "node:crypto";
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { PRESETS } from "../../src/signature/presets.ts";
import { findSource, SOURCE_NAMES, secretProblem } from "../../src/signature/source.ts";
import { CATALOGUE } from "./catalogue.ts";
import { WHSEC } from "./inbound-request.ts";
import {
  type Changes,
  judgeVector,
  otherSecret,
  publishedKey,
  requestOf,
  schemeOf,
  sourceOf,
  VECTORS,
  type Vector,
  vectorOf,
} from "./vectors.ts";

const labelled = VECTORS.map((vector, index) => [`${vector.provider} (${vector.origin}, ${index})`, vector] as const);
const YEARS_MS = 10 * 365 * 86_400_000;

function outcome(vector: Vector, changes: Changes = {}): string {
  const verdict = judgeVector(vector, changes);
  return verdict.valid ? "valid" : verdict.check;
}

/** Changes of the body that the signature covers, where not all of it is covered. */
const COVERED_CHANGES: Readonly<Record<string, (body: string) => string>> = {
  adyen: (body) => body.replace('"value":1130', '"value":1131'),
  mailgun: (body) => body.replace('"token":"a', '"token":"b'),
  "aws-sns": (body) => body.replace(/"Message":"(.)/, '"Message":"!$1'),
  "microsoft-graph": (body) => body.replace("state-1", "state-2"),
  figma: (body) => body.replace("pass-code", "pass-codes"),
};

/** One byte more, in a place where JSON stays JSON. */
const withByte = (body: string) => `${body.slice(0, -1)} ${body.slice(-1)}`;

/** A vector with its body tampered with, or where nothing of it is covered, its token. */
function tampered(vector: Vector): Changes {
  const change = COVERED_CHANGES[sourceOf(vector)];
  if (change !== undefined) return { body: change(vector.body) };
  const { kind } = schemeOf(vector);
  if (kind !== "token" && kind !== "basic") return { body: withByte(vector.body) };
  return { headers: Object.fromEntries(Object.entries(vector.headers).map(([name, value]) => [name, `${value}A`])) };
}

describe.each(labelled)("%s", (_, vector) => {
  test("is accepted, and names no other secret", () => {
    expect(judgeVector(vector)).toEqual({
      valid: true,
      scheme: schemeOf(vector).name,
      secretIndex: 0,
      verified: true,
    });
  });

  test("is refused when tampered with", () => {
    const changes = tampered(vector);
    expect(changes.body ?? changes.headers).not.toEqual(changes.body ? vector.body : vector.headers);
    expect(["signature", "malformed_field", "malformed_signature"]).toContain(outcome(vector, changes));
  });

  test("is refused under another secret, or another published key", () => {
    const secret = otherSecret(vector);
    if (secret !== undefined) expect(outcome(vector, { secret })).toBe("signature");
    const key = publishedKey(vector);
    if (key === undefined) return;
    const other =
      key.asymmetricKeyType === "rsa"
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(outcome(vector, { published: other.publicKey })).toBe("signature");
  });

  test("is refused without its signature", () => {
    const places = schemeOf(vector).method.places;
    const names = places.flatMap((place) => (place.from === "header" ? [place.name] : []));
    const headers = Object.fromEntries(Object.entries(vector.headers).filter(([name]) => !names.includes(name)));
    const body = places.some((place) => place.from === "body") ? "{}" : vector.body;
    expect(outcome(vector, { headers, body })).toBe("missing_signature");
  });

  test("is judged in time as the vendor does", () => {
    const { pastMs, futureMs } = toleranceOf(vector);
    const at = (afterMs: number) => outcome(vector, { afterMs });
    expect(at(pastMs ?? YEARS_MS)).toBe("valid");
    expect(at(-(futureMs ?? YEARS_MS))).toBe("valid");
    if (pastMs !== null) expect(at(pastMs + 1_000)).toBe("timestamp");
    if (futureMs !== null) expect(at(-futureMs - 1_000)).toBe("timestamp");
  });

  test.each(Object.entries(vector.checks))("%s: %s", (name, value) => {
    const check = CHECKS[name];
    expect(check, `the check ${name} has no meaning here`).toBeDefined();
    check?.(vector, value);
  });
});

/** How old and how far ahead a vector may be, milliseconds; null: any time. What vendors' code does, where it is code. */
function toleranceOf(vector: Vector): { pastMs: number | null; futureMs: number | null } {
  const name = schemeOf(vector).name;
  switch (name) {
    case "contentful":
      return { pastMs: 29_999, futureMs: null };
    case "livekit":
      // Five minutes' life and ten seconds' leeway: the JWT's last moment is excluded (RFC 7519, 4.1.4).
      return { pastMs: 309_000, futureMs: 10_000 };
    case "plaid":
      return { pastMs: 300_000, futureMs: null };
    case "microsoft-graph":
      return vector.publicKeyPem ? { pastMs: 3_900_000, futureMs: 310_000 } : { pastMs: null, futureMs: null };
  }
  const scheme = PRESETS[sourceOf(vector)]?.schemes.find((candidate) => candidate.name === name);
  const ts = scheme && "ts" in scheme ? scheme.ts : undefined;
  const ms = (seconds: number | null | undefined) => (typeof seconds === "number" ? seconds * 1000 : null);
  return { pastMs: ms(ts?.tol), futureMs: ms(ts?.future) };
}

type CheckOf = (vector: Vector, value: boolean | number) => void;

/** Accepted (or not, where the vendor does not either) that long after its own time. */
const at =
  (afterMs: number, accepted: boolean): CheckOf =>
  (vector, holds) =>
    expect(outcome(vector, { afterMs }) === "valid").toBe(accepted === holds);

const accepted: CheckOf = (vector) => expect(outcome(vector)).toBe("valid");

const withHeader = ({ headers }: Vector, name: string, change: (value: string) => string) => ({
  headers: { ...headers, [name]: change(headers[name] ?? "") },
});

/** What the vendor's code was seen to do. */
const CHECKS: Readonly<Record<string, CheckOf>> = {
  accept: accepted,
  accept_at_T: accepted,
  equals_published: accepted,
  equal_to_standardwebhooks: accepted,
  equals_adyen_docs_example: accepted,
  equals_known_RSOYDt4T1cUTdK1PDd93_VVr8B8: accepted,
  accept_at_T_plus_300: at(300_000, true),
  accept_T_plus_300: at(300_000, true),
  accept_plus_300: at(300_000, true),
  reject_at_T_plus_301: at(301_000, false),
  reject_T_plus_301: at(301_000, false),
  reject_plus_301: at(301_000, false),
  reject_stale_301s: at(301_000, false),
  accept_future_T_minus_1h: at(-3_600_000, true),
  reject_future_T_minus_301: at(-301_000, false),
  accept_plus_60000ms: at(60_000, true),
  reject_plus_60001ms: at(60_001, false),
  reject_minus_60001ms: at(-60_001, false),
  reject_tampered: (vector) => expect(outcome(vector, tampered(vector))).toBe("signature"),
  accept_multi: (vector) => {
    const name = Object.keys(vector.headers).find((header) => header.endsWith("-signature")) ?? "";
    const changes = withHeader(vector, name, (value) => `v1,${"A".repeat(43)}= v1a,AAAA ${value}`);
    expect(outcome(vector, changes)).toBe("valid");
  },
  reject_uppercase_hex: (vector) =>
    expect(
      outcome(
        vector,
        withHeader(vector, "linear-signature", (value) => value.toUpperCase()),
      ),
    ).not.toBe("valid"),
  accept_uppercase_hex: (vector) =>
    expect(outcome(vector, withHeader(vector, "x-notion-signature", upperDigits))).toBe("valid"),
  reject_no_prefix: (vector) =>
    expect(
      outcome(
        vector,
        withHeader(vector, "x-notion-signature", (value) => value.slice(7)),
      ),
    ).not.toBe("valid"),
  reject_missing_body_timestamp: (vector) =>
    expect(outcome(vector, { body: unstamped(vector.body, "") })).not.toBe("valid"),
  reject_string_timestamp: (vector) =>
    expect(outcome(vector, { body: unstamped(vector.body, '"webhookTimestamp":"1700000000000",') })).not.toBe("valid"),
  reject_other_timestamp: (vector) =>
    expect(
      outcome(
        vector,
        withHeader(vector, "x-signature-timestamp", () => "1700000001"),
      ),
    ).toBe("signature"),
  reject_without_crlf: (vector) => expect(outcome(vector, { body: vector.body.trimEnd() })).toBe("signature"),
  reject_wrong_url: (vector) => expect(outcome(vector, { url: `${vector.url}/` })).toBe("signature"),
  accept_with_port_443_in_url: (vector) =>
    expect(outcome(vector, { url: vector.url?.replace(".com/", ".com:443/") ?? "" })).toBe("valid"),
  crc: (vector, value) => expect(crc32(vector.body)).toBe(value),
  // The answers to a handshake are its own affair; what is signed of it is judged like an event.
  response_status: accepted,
  bad_signature_status: (vector) => expect(outcome(vector, tampered(vector))).toBe("signature"),
};

const upperDigits = (value: string) => value.slice(0, 7) + value.slice(7).toUpperCase();
const unstamped = (body: string, instead: string) => body.replace(/"webhookTimestamp":\d+,/, instead);

test("the forms of secrets that standardwebhooks takes", () => {
  expect(vectorOf("standardwebhooks-secret-forms").checks).toEqual({
    no_prefix_ok: true,
    unpadded_throws: false,
    raw_format_ok: true,
  });
  const source = findSource("standardwebhooks");
  expect(secretProblem(source, WHSEC.slice(6))).toBeNull();
  expect(secretProblem(source, `whsec_${Buffer.alloc(32, 1).toString("base64").replace("=", "")}`)).toBeNull();
  // The raw format is a source of its own: no text is read in two ways.
  expect(secretProblem(source, "any text at all")).not.toBeNull();
  expect(secretProblem(findSource("polar"), "any text at all")).toBeNull();
});

test("a vector of another form of the source is not taken for this one", () => {
  for (const [provider, source] of [
    ["github", "stripe"],
    ["stripe", "github"],
    ["standardwebhooks", "svix"],
    ["svix", "standardwebhooks"],
    ["bitbucket", "meta"],
    ["meta-whatsapp", "bitbucket"],
  ] as const) {
    expect(judgeVector(vectorOf(provider), {}, source)).toMatchObject({ valid: false, check: "missing_signature" });
  }
});

test("schemes that sign the URL are refused where it is not known, with the remedy", () => {
  const names = ["square", "trello", "hubspot", "hubspot-v2-published", "twilio-form", "twilio-json-bodySHA256"];
  for (const name of names) {
    const { url: _, ...vector } = vectorOf(name);
    expect(judgeVector(vector)).toMatchObject({ check: "missing_field", reason: expect.stringMatching(/PUBLIC_URL/) });
    expect(requestOf(vector).url).toBeUndefined();
  }
});

test("every source has a vector", () => {
  const covered = new Set(VECTORS.map(sourceOf));
  expect(SOURCE_NAMES.filter((name) => !covered.has(name))).toEqual([]);
});

test("every form of every source has a vector", () => {
  const covered = new Set(VECTORS.map((vector) => `${sourceOf(vector)} ${schemeOf(vector).name}`));
  const forms = Object.entries(PRESETS).flatMap(([name, preset]) =>
    preset.schemes.map((scheme) => `${name} ${scheme.name}`),
  );
  expect(forms.filter((form) => !covered.has(form))).toEqual([]);
});

test("every row of the catalogue has a preset", () => {
  expect(CATALOGUE.filter((name) => findSource(name).name === "custom" && name !== "custom")).toEqual([]);
});
