/** What senders and callers write into signatures, secrets and bodies: an answer for everything, and clean text. */
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { matchesAllowlist, normalizeAllowlist } from "../../src/core/allowlist.ts";
import { redactHeaders } from "../../src/core/redact-headers.ts";
import { EVENT_ID_CHARS_MAX, identify, TYPE_CHARS_MAX } from "../../src/signature/event-identity.ts";
import { parseKey } from "../../src/signature/key.ts";
import { PRESETS } from "../../src/signature/presets.ts";
import { findSource, prepareSecrets, SOURCE_NAMES } from "../../src/signature/source.ts";
import { parseTemplate } from "../../src/signature/template.ts";
import { CHECKS } from "../../src/signature/verdict.ts";
import { verify } from "../../src/signature/verify.ts";
import { inbound, T, verdictOf, WHSEC } from "../signature/inbound-request.ts";
import { runs } from "./runs.ts";

const words = (text: string) => fc.constantFrom(...text.split(" "));
const textOf = (arbitrary: fc.Arbitrary<string>, maxLength = 12) =>
  fc.array(arbitrary, { maxLength }).map((list) => list.join(""));

const sources = SOURCE_NAMES.map((name) => findSource(name));
const schemes = Object.values(PRESETS).flatMap((preset) => preset.schemes);
const header = textOf(
  words(`t= v1= v1, sha256= , = ; . 1700000000 -1 1e9 ${"ab".repeat(32)} ${"A".repeat(43)}= ${"A".repeat(44)} é \0`),
);
const places = sources.flatMap((source) => source.schemes).flatMap(({ method }) => method.places);
const names = places.flatMap((place) => (place.from === "header" ? [place.name] : []));
const headers = fc.dictionary(
  fc.constantFrom(...names, "webhook-id", "webhook-timestamp", "content-type", "x-github-event", "x-github-delivery"),
  fc.oneof(header, fc.string({ unit: "binary" }), words("application/json application/x-www-form-urlencoded")),
  { noNullPrototype: true },
);
const bodyPiece = words(
  '{ } [ ] "type": "id": "action": "a" 1e400 1e21 "\\u0000" "\\ud800" null , payload= payload=%7B%22type%22:%22a%22%7D & %70ayload= %zz + \xff',
);

test("any request has a verdict, and what it calls its event is clean text or nothing", () => {
  const property = fc.property(
    fc.nat(sources.length - 1),
    headers,
    fc.oneof(textOf(bodyPiece, 20), fc.string()),
    (index, given, body) => {
      const source = sources[index] ?? findSource("custom");
      const request = inbound(given, Buffer.from(body, "latin1"));
      const verdict = verdictOf(verify(source, prepareSecrets(source, [WHSEC]), request, T * 1_000));
      expect(verdict.valid || CHECKS.includes(verdict.check)).toBe(true);
      const { type, id } = identify(source, request);
      for (const [text, charsMax] of [
        [type, TYPE_CHARS_MAX],
        [id, EVENT_ID_CHARS_MAX],
      ] as const) {
        if (text === null) continue;
        expect(text.isWellFormed() && !/\p{Cc}/u.test(text) && text !== "" && text.length <= charsMax).toBe(true);
      }
    },
  );
  fc.assert(property, runs(5_000));
});

test("any text is a key, or a problem that does not quote it", () => {
  const piece = words("whsec_ v1, A AA= AAAA ab 0 g é \u212b \u00e5 a\u030a \ud800 \0 _ - + /");
  const text = fc.oneof(textOf(piece, 30), fc.string({ unit: "binary" }));
  const property = fc.property(fc.nat(schemes.length - 1), text, (index, secret) => {
    const scheme = schemes[index];
    const rule = (scheme?.kind === "hmac" && scheme.key) || { decode: "utf8" };
    const parsed = parseKey(rule, secret);
    if (parsed.ok) expect(createHmac("sha256", parsed.key).update("x").digest()).toHaveLength(32);
    else expect(secret.length > 8 && parsed.problem.includes(secret)).toBe(false);
  });
  fc.assert(property, runs(3_000));
});

test("any name of a source is a source, and none is a property of objects", () => {
  const name = fc.oneof(
    words("__proto__ constructor toString hasOwnProperty prototype Stripe standard-webhooks"),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(name, (text) => SOURCE_NAMES.includes(findSource(text).name)),
    runs(2_000),
  );
});

test("any template of signed content is parsed or refused with TypeError", () => {
  const property = fc.property(textOf(words("{ } {body} {ts} {header:a} {json:a.b} {header:} {x} . : a")), (text) => {
    try {
      parseTemplate(text);
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError);
    }
  });
  fc.assert(property, runs(3_000));
});

test("an allowlist is normal once normalized, and lets exactly through what it did before", () => {
  const pattern = fc.oneof(textOf(words("a b . * .*   "), 4), fc.string());
  const property = fc.property(fc.array(pattern, { maxLength: 5 }), textOf(words("a b ."), 5), (list, type) => {
    const normal = normalizeAllowlist(list);
    expect(normalizeAllowlist(normal)).toEqual(normal);
    const given = list.map((each) => each.trim()).filter((each) => each !== "");
    expect(matchesAllowlist(normal, [type])).toBe(matchesAllowlist(given, [type]));
  });
  fc.assert(property, runs(3_000));
});

test("what is kept of headers holds no NUL and no credential", () => {
  const name = words("Authorization COOKIE x-api-key X-Gitlab-Token x-a");
  const property = fc.property(fc.array(fc.tuple(name, fc.string({ unit: "binary" }))), (list) => {
    for (const [kept, value] of redactHeaders(list)) {
      expect(value).not.toContain("\0");
      expect(kept === "x-a" || value === "[redacted]").toBe(true);
    }
  });
  fc.assert(property, runs(1_000));
});
