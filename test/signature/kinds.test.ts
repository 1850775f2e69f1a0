/** The engine on schemes that are no HMAC, by every algorithm and place of the vocabulary. */
import { createHmac, generateKeyPairSync, type KeyObject, sign as signWith } from "node:crypto";
import { describe, expect, test } from "vitest";
import { compileSource } from "../../src/signature/compile.ts";
import { identify } from "../../src/signature/event-identity.ts";
import type { PublicKeyAlgorithm, Scheme } from "../../src/signature/scheme.ts";
import { canSign, sign } from "../../src/signature/sign.ts";
import { inbound, judge } from "./inbound-request.ts";

const BODY = '{"type":"a.b","id":"e1"}';
const base = { name: "x", type: ["j:type"], id: ["j:id"], repeats: "none" } as const;
const source = (...schemes: [Scheme, ...Scheme[]]) => compileSource("x", { schemes });
const outcome = (verdict: ReturnType<typeof judge>) => (verdict.valid ? "valid" : verdict.check);

describe("public keys", () => {
  const pairs: Readonly<Record<PublicKeyAlgorithm, { publicKey: KeyObject; privateKey: KeyObject }>> = {
    ed25519: generateKeyPairSync("ed25519"),
    "ecdsa-sha256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
    "rsa-sha1": generateKeyPairSync("rsa", { modulusLength: 2048 }),
    "rsa-sha256": generateKeyPairSync("rsa", { modulusLength: 3072 }),
  };
  const algorithms = Object.keys(pairs) as PublicKeyAlgorithm[];
  const spki = (algorithm: PublicKeyAlgorithm) =>
    pairs[algorithm].publicKey.export({ format: "der", type: "spki" }).toString("base64");
  const hash = { ed25519: null, "ecdsa-sha256": "sha256", "rsa-sha1": "sha1", "rsa-sha256": "sha256" } as const;

  test.each(algorithms.flatMap((alg) => (["hex", "base64", "base64url"] as const).map((enc) => [alg, enc] as const)))(
    "%s %s",
    (alg, enc) => {
      const scheme = { ...base, kind: "public-key", alg, enc, sig: { name: "s" }, key: { decode: "spki" } } as const;
      const compiled = source(scheme);
      const signature = signWith(hash[alg], Buffer.from(BODY), pairs[alg].privateKey).toString(enc);
      expect(outcome(judge(compiled, spki(alg), inbound({ s: signature }, BODY)))).toBe("valid");
      expect(outcome(judge(compiled, spki(alg), inbound({ s: signature }, `${BODY} `)))).toBe("signature");
      for (const other of algorithms) {
        const foreign = inbound({ s: signature }, BODY);
        if (other !== alg) expect(outcome(judge(compiled, spki(other), foreign))).toMatch(/^(secret|signature)$/);
      }
      expect(canSign(compiled)).toBe(false);
      expect(sign(compiled, spki(alg), { body: Buffer.from(BODY), type: "a", eventId: "b", nowMs: 0 })).toBeUndefined();
    },
  );

  test("every signature is tried against every key", () => {
    const scheme = {
      ...base,
      kind: "public-key",
      alg: "ed25519",
      enc: "base64",
      sig: { name: "s", item: " " },
      key: { decode: "spki" },
    } as const;
    const other = generateKeyPairSync("ed25519");
    const s = [other.privateKey, pairs.ed25519.privateKey].map((key) =>
      signWith(null, Buffer.from(BODY), key).toString("base64"),
    );
    const verdict = judge(source(scheme), [spki("ecdsa-sha256"), spki("ed25519")], inbound({ s: s.join(" ") }, BODY));
    expect(verdict).toMatchObject({ valid: true, secretIndex: 1 });
  });
});

describe("tokens", () => {
  const header = source({ ...base, kind: "token", token: { name: "X-Token", prefix: "Key " } });
  const field = source({ ...base, kind: "token", token: { from: "body", name: "items.*.token" } });

  test.each<[string, string | undefined, string]>([
    ["the token", "Key secret", "valid"],
    ["another", "Key secrets", "signature"],
    ["half of it", "Key secre", "signature"],
    ["another case", "Key SECRET", "signature"],
    ["without the prefix", "secret", "malformed_signature"],
    ["the prefix alone", "Key ", "malformed_signature"],
    ["twice", "Key secret, Key secret", "signature"],
    ["too long", `Key ${"x".repeat(9_000)}`, "malformed_signature"],
    ["nothing", "", "missing_signature"],
    ["none", undefined, "missing_signature"],
  ])("in a header: %s", (_what, value, expected) => {
    expect(outcome(judge(header, "secret", inbound({ "x-token": value }, BODY)))).toBe(expected);
    expect(header.credentialHeaders).toEqual(["x-token"]);
  });

  test.each<[string, unknown, string]>([
    ["of every member", [{ token: "secret" }, { token: "secret" }], "valid"],
    ["of two secrets", [{ token: "secret" }, { token: "older" }], "valid"],
    ["not of the last", [{ token: "secret" }, { token: "guess" }], "signature"],
    ["missing in the last", [{ token: "secret" }, {}], "malformed_signature"],
    ["a number", [{ token: 7 }], "missing_signature"],
    ["in an empty list", [], "missing_signature"],
    ["in no list", { token: "secret" }, "missing_signature"],
  ])("in a body: %s", (_what, items, expected) => {
    expect(outcome(judge(field, ["older", "secret"], inbound({}, JSON.stringify({ items }))))).toBe(expected);
    expect(field.credentialHeaders).toEqual([]);
  });

  test("a test event shows the token where it belongs", () => {
    const asked = { type: "a", eventId: "b", nowMs: 0, body: Buffer.from(BODY) };
    expect(sign(header, "secret", asked)?.headers.get("x-token")).toBe("Key secret");
    expect(sign(field, "secret", asked)?.body.toString()).toBe(`${BODY.slice(0, -1)},"items":[{"token":"secret"}]}`);
  });
});

describe("Basic", () => {
  const basic = source({ ...base, kind: "basic" });
  const encoded = (text: string) => Buffer.from(text).toString("base64");
  test.each<[string, string, string]>([
    ["user and password", `Basic ${encoded("user:pass:word")}`, "valid"],
    ["any case", `BASIC ${encoded("user:pass:word")}`, "valid"],
    ["another password", `Basic ${encoded("user:pass")}`, "signature"],
    ["another scheme", `Bearer ${encoded("user:pass:word")}`, "malformed_signature"],
    ["no base64", "Basic user:pass:word", "malformed_signature"],
    ["base64 that stands for the same", `Basic ${encoded("user:pass:word")}A`, "malformed_signature"],
  ])("%s", (_what, authorization, expected) => {
    expect(outcome(judge(basic, "user:pass:word", inbound({ authorization }, BODY)))).toBe(expected);
  });
});

test("none takes everything, and says that nothing was verified", () => {
  const none = source({ ...base, kind: "none" });
  for (const [secrets, body] of [
    [[], BODY],
    [["any"], ""],
    [["any"], "\u0000"],
  ] as const) {
    expect(judge(none, secrets, inbound({}, body))).toMatchObject({ valid: true, verified: false, scheme: "x" });
  }
  expect(identify(none, inbound({}, BODY))).toMatchObject({ type: "a.b", id: "e1" });
});

describe("forms", () => {
  const schemes = [
    { ...base, kind: "hmac", name: "first", sig: { name: "a" } },
    { ...base, kind: "token", name: "second", token: { name: "b" } },
  ] as const;
  const a = createHmac("sha256", "secret").update(BODY).digest("hex");
  const exclusive = compileSource("x", { schemes });
  const preferred = compileSource("x", { schemes, forms: "preferred" });

  test("of which exactly one may be borne", () => {
    expect(outcome(judge(exclusive, "secret", inbound({ a }, BODY)))).toBe("valid");
    expect(outcome(judge(exclusive, "secret", inbound({ b: "secret" }, BODY)))).toBe("valid");
    expect(outcome(judge(exclusive, "secret", inbound({ a, b: "secret" }, BODY)))).toBe("ambiguous");
  });

  test("of which the first that is borne is judged, and nothing falls through to a weaker one", () => {
    expect(judge(preferred, "secret", inbound({ a, b: "secret" }, BODY))).toMatchObject({
      scheme: "first",
      valid: true,
    });
    expect(judge(preferred, "secret", inbound({ a: "0".repeat(64), b: "secret" }, BODY))).toMatchObject({
      check: "signature",
    });
    expect(judge(preferred, "secret", inbound({ b: "secret" }, BODY))).toMatchObject({ scheme: "second", valid: true });
  });

  test("of which one that no secret can key is passed over", () => {
    const hex = compileSource("x", {
      schemes: [{ ...schemes[0], key: { decode: "hex" } }, schemes[1]],
      forms: "preferred",
    });
    expect(judge(hex, "secret", inbound({ a, b: "secret" }, BODY))).toMatchObject({ scheme: "second", valid: true });
    expect(judge(hex, "secret", inbound({ a }, BODY))).toMatchObject({ scheme: "first", check: "secret" });
  });

  test("to one of which a source can be pinned", () => {
    const pinned = compileSource("x", { schemes }, "second");
    expect(outcome(judge(pinned, "secret", inbound({ a }, BODY)))).toBe("missing_signature");
    expect(outcome(judge(pinned, "secret", inbound({ a, b: "secret" }, BODY)))).toBe("valid");
  });
});

test("the path that is signed is the request's own, or that of its URL", () => {
  const compiled = source({ ...base, kind: "hmac", sig: { name: "s" }, content: "{path}{body}" });
  const s = createHmac("sha256", "secret").update(`/in?a=%20${BODY}`).digest("hex");
  const at = inbound({ s }, BODY, { url: "https://example.com/other" });
  expect(outcome(judge(compiled, "secret", { ...at, target: "/in?a=%20" }))).toBe("valid");
  expect(outcome(judge(compiled, "secret", inbound({ s }, BODY, { url: "https://example.com/in?a=%20" })))).toBe(
    "valid",
  );
  expect(outcome(judge(compiled, "secret", at))).toBe("signature");
  expect(outcome(judge(compiled, "secret", inbound({ s }, BODY)))).toBe("missing_field");
});
