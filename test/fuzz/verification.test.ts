/** Verification settings of any form: refused by a field's name, or a verifier that bears any request. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { SigningError, samplePayload, sign } from "../../src/signature/sign.ts";
import { generateSecretFor, prepareSecrets, SOURCE_NAMES } from "../../src/signature/source.ts";
import { type Verification, VerificationError } from "../../src/signature/verification/settings.ts";
import { findSourceWith } from "../../src/signature/verification/source.ts";
import { verify } from "../../src/signature/verify.ts";
import { inbound } from "../signature/inbound-request.ts";
import { runs } from "./runs.ts";

const oneOf = (text: string) => fc.constantFrom(...text.split(" "));
const some = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

const name = fc.oneof(oneOf("x-sig x-time x-token authorization t v1"), fc.string({ unit: "binary", maxLength: 8 }));
const path = fc.oneof(
  oneOf("id meta.sig items.0.id items.*.id __proto__.polluted constructor.prototype.polluted items.99 items.1e9 a..b"),
  fc
    .array(oneOf("a 0 99 100 * __proto__ constructor toString + { é"), { maxLength: 20 })
    .map((steps) => steps.join(".")),
);
const lookup = fc.oneof(
  fc.tuple(oneOf("h: j: k: x: k:! k:*"), fc.oneof(path, name)).map((parts) => parts.join("")),
  fc.tuple(path, path).map(([a, b]) => `j:${a}+j:${b}`),
);
const content = fc.oneof(
  oneOf("{body} {ts}.{body} {ts}{body} {header:x-time}.{body} {json:id} {sortedForm} {url}{body}"),
  fc
    .array(
      oneOf(
        "{body} {ts} {url} {path} {method} {header:x-id} {json:meta.id} {text:a} {sortedForm} . | { } {} {x} {json:__proto__.x}",
      ),
      { maxLength: 8 },
    )
    .map((pieces) => pieces.join("")),
);

const settings = fc.record({
  scheme: some(
    oneOf("hmac hmac hmac public-key token basic none standardwebhooks hub-signature-256 stripe github nothing"),
  ),
  header: some(name),
  bodyField: some(path),
  prefix: some(oneOf("sha256= v1= , é Bearer ;x")),
  list: some(
    fc.record({
      separator: some(fc.constantFrom(" ", ",", ";")),
      keySeparator: some(fc.constantFrom("=", ",")),
      key: some(name),
    }),
  ),
  algorithm: some(oneOf("sha1 sha256 sha512 ed25519 ecdsa-sha256 rsa-sha1 rsa-sha256")),
  encoding: some(oneOf("hex base64 base64url")),
  content: some(content),
  timestamp: some(
    fc.record({
      header: some(name),
      bodyField: some(path),
      listKey: some(name),
      unit: some(oneOf("s ms iso")),
      toleranceSeconds: some(fc.integer({ min: 1, max: 604_800 })),
      futureToleranceSeconds: some(fc.nat(604_800)),
    }),
  ),
  key: some(
    fc.record({
      decoding: some(oneOf("utf8 utf8-nfkd base64 hex raw-hex raw-base64 spki")),
      prefix: some(oneOf("whsec_ k")),
    }),
  ),
  eventType: some(fc.array(lookup, { maxLength: 3 })),
  eventId: some(fc.array(lookup, { maxLength: 3 })),
  repeats: some(oneOf("signed-id restamped-id unsigned-id unsigned-id-and-type unsigned-id-and-body none")),
});

/** As settings arrive: what is not set is absent. */
const withoutUnset = (value: object): Verification => JSON.parse(JSON.stringify(value));

const requests = fc.tuple(
  fc.dictionary(
    oneOf("x-sig x-time x-token authorization x-id content-type"),
    fc.oneof(fc.string(), oneOf("t=1,v1=00 v1,AAAA 00 application/x-www-form-urlencoded")),
  ),
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json(),
    oneOf('{"id":1,"meta":{"sig":"00"}} {"items":[{"id":"a"}]} a=b&c=d'),
  ),
);

test("settings are refused by a field's name, or make a verifier that bears any request", () => {
  let accepted = 0;
  const property = fc.property(
    settings,
    fc.constantFrom("acme", ...SOURCE_NAMES),
    requests,
    (given, source, [headers, body]) => {
      const verification = withoutUnset(given);
      let compiled: ReturnType<typeof findSourceWith>;
      try {
        compiled = findSourceWith(source, verification);
      } catch (error) {
        expect(error).toBeInstanceOf(VerificationError);
        const { field, message } = error as VerificationError;
        expect(
          Object.keys({
            ...verification,
            header: 1,
            scheme: 1,
            content: 1,
            timestamp: 1,
            algorithm: 1,
            key: 1,
            repeats: 1,
          }),
        ).toContain(/^\w+/.exec(field)?.[0]);
        expect(message).not.toMatch(/undefined|\[object/);
        return;
      }
      accepted += 1;
      const request = inbound(headers, body, { url: "https://example.com/hook" });
      const secret = generateSecretFor(compiled);
      const verdict = verify(compiled, prepareSecrets(compiled, secret === undefined ? [] : [secret]), request, 0);
      if (verification.scheme !== "none") expect(verdict).not.toMatchObject({ valid: true });
      identify(compiled, request);
      const named = { type: "a.b", eventId: "e-1", nowMs: 0 };
      const payload = Buffer.from(JSON.stringify(samplePayload(compiled, named)));
      expect(payload.length).toBeLessThan(100_000);
      try {
        sign(compiled, secret ?? "", { ...named, body: payload, url: "https://example.com/hook" });
      } catch (error) {
        expect(error).toBeInstanceOf(SigningError);
      }
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    },
  );
  fc.assert(property, runs(4_000));
  expect(accepted).toBeGreaterThan(0);
});

test("whatever is signed by settings for a test event, the same settings verify", () => {
  let signed = 0;
  const property = fc.property(settings, (given) => {
    const verification = withoutUnset(given);
    try {
      const compiled = findSourceWith("acme", verification);
      const secret = generateSecretFor(compiled) ?? "";
      const named = { type: "a.b", eventId: "e-1", nowMs: 1_700_000_000_123 };
      const body = Buffer.from(JSON.stringify(samplePayload(compiled, named)));
      const made = sign(compiled, secret, { ...named, body, url: "https://example.com/hook" });
      if (made === undefined) return;
      const request = { ...made, header: (header: string) => made.headers.get(header), method: "POST" };
      const verdict = verify(compiled, prepareSecrets(compiled, [secret]), request, named.nowMs);
      expect([verification, verdict]).toEqual([verification, expect.objectContaining({ valid: true })]);
      signed += 1;
    } catch (error) {
      if (!(error instanceof VerificationError || error instanceof SigningError)) throw error;
    }
  });
  fc.assert(property, runs(4_000));
  expect(signed).toBeGreaterThan(0);
});
