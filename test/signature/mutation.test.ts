/** Nothing that was signed can be changed unnoticed, and nothing that is sent can make the engine throw. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { couldBeSignedForAnybody } from "../../src/signature/handshakes.ts";
import { isNeededKey } from "../../src/signature/needed-key.ts";
import { canSign, sign } from "../../src/signature/sign.ts";
import { prepareSecrets, SOURCES } from "../../src/signature/source.ts";
import { CHECKS } from "../../src/signature/verdict.ts";
import { verify } from "../../src/signature/verify.ts";
import { inbound, judge, T, WHSEC } from "./inbound-request.ts";
import { judgeVector, schemeOf, secretOf, sourceOf, VECTORS, type Vector } from "./vectors.ts";

/** Sources of which not the whole body is signed, byte by byte. Form: only what its fields say is. */
const PARTLY = new Set(["adyen", "mailgun", "aws-sns", "microsoft-graph"]);
const URL_AT = "https://hooks.example.com/api/v1/webhooks/receive/0";

const isWhole = (vector: Vector) => {
  const { kind, name } = schemeOf(vector);
  return !PARTLY.has(sourceOf(vector)) && kind !== "token" && kind !== "basic" && name !== "twilio";
};
const whole = VECTORS.filter(isWhole).map((vector, index) => [`${vector.provider} (${index})`, vector] as const);

function isAccepted(vector: Vector, body: Buffer): boolean {
  return judgeVector({ ...vector, body: body as unknown as string }).valid;
}

describe.each(whole)("%s", (_, vector) => {
  const body = Buffer.from(vector.body);

  test("every flipped bit of the body is noticed", () => {
    expect(isAccepted(vector, body)).toBe(true);
    for (let bit = 0; bit < body.length * 8; bit += 1) {
      const changed = Buffer.from(body);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect([bit, isAccepted(vector, changed)]).toEqual([bit, false]);
    }
  });

  test("a body cut or grown at either end is noticed", () => {
    const zero = Buffer.of(0);
    const grown = [Buffer.concat([body, zero]), Buffer.concat([zero, body])];
    for (const changed of [body.subarray(1), body.subarray(0, -1), Buffer.alloc(0), ...grown]) {
      expect(isAccepted(vector, changed)).toBe(false);
    }
  });
});

/** Vectors in whose signature header something else stands that is passed over. */
const WITH_MORE = new Set(["stripe-rotation", "circleci", "pagerduty", "standardwebhooks-v1a", "box"]);
/** Headers that are no part of what is signed. */
const FREE =
  /^(content-type|user-agent|linear-(delivery|event|timestamp)|x-shopify-.*-(id|domain|topic|version)|paypal-(auth-algo|cert-url))$/;
const FREE_TOPICS =
  /^(x-shopify-(topic|shop-domain|api-version|webhook-id|event-id)|shopify-topic|x-hubspot-signature-version)$/;

/** Hexadecimal digits, names of headers and of authorization schemes that have no case. */
const ANY_CASE = new Set(["notion", "discord", "contentful", "postmark"]);

const letters = [..."0123456789ABCDEFabcdefGHIxyz"];
const signedHeaders = VECTORS.flatMap((vector, index) =>
  WITH_MORE.has(vector.provider)
    ? []
    : Object.keys(vector.headers)
        .filter((name) => !FREE.test(name) && !FREE_TOPICS.test(name))
        .map((name) => [`${vector.provider} (${index})`, name, vector] as const),
);

test.each(signedHeaders)("property: %s: another letter or digit in %s is refused", (_label, name, vector) => {
  const value = vector.headers[name] ?? "";
  const places = [...value.matchAll(/[A-Za-z0-9]/g)].map(({ index }) => index);
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.constantFrom(...letters), (at, letter) => {
      fc.pre(value.charAt(at) !== letter);
      fc.pre(!ANY_CASE.has(sourceOf(vector)) || value.charAt(at).toLowerCase() !== letter.toLowerCase());
      const headers = { ...vector.headers, [name]: value.slice(0, at) + letter + value.slice(at + 1) };
      expect(judgeVector(vector, { headers }).valid).toBe(false);
    }),
  );
});

/** Sources whose test events we sign, with their whole body. */
const signable = SOURCES.filter((source) => canSign(source) && !PARTLY.has(source.name)).flatMap((source) => {
  const vector = VECTORS.find((candidate) => sourceOf(candidate) === source.name);
  const kind = vector && schemeOf(vector).kind;
  return vector && kind !== "token" && kind !== "basic" ? [[source.name, source, secretOf(vector)] as const] : [];
});

test.each(signable)(
  "property: %s: whatever is signed is accepted, and refused when one byte of it differs",
  (_, source, secret) => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
    const asked = { type: "a.b", eventId: "msg_1", nowMs: T * 1000, url: URL_AT };
    const property = fc.property(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (content, position, mask) => {
      const body = Buffer.from(content);
      fc.pre(!couldBeSignedForAnybody(source, body));
      const signed = sign(source, secret, { ...asked, body });
      const at = { url: signed?.url ?? URL_AT };
      const headers = Object.fromEntries(signed?.headers ?? []);
      // A time in the body is judged too; these bodies have none.
      const verdict = judge(source, secret, inbound(headers, body, at));
      expect(verdict.valid || verdict.check === "timestamp").toBe(true);
      const changed = Buffer.from(body);
      const index = position % changed.length;
      changed.writeUInt8(changed.readUInt8(index) ^ mask, index);
      expect(judge(source, secret, inbound(headers, changed, at)).valid).toBe(false);
    });
    fc.assert(property);
  },
);

test("property: a form of Twilio's with another field or value is refused, in another order it is the same", () => {
  const vector = VECTORS.find(({ provider }) => provider === "twilio-form") as Vector;
  const fields = vector.body.split("&");
  const at = fc.nat(fields.length - 1);
  fc.assert(
    fc.property(
      at,
      fc.shuffledSubarray(fields, { minLength: fields.length }),
      fc.constantFrom(...letters),
      (index, order, letter) => {
        expect(judgeVector(vector, { body: order.join("&") }).valid).toBe(true);
        const longer = fields.map((field, place) => (place === index ? field + letter : field));
        expect(judgeVector(vector, { body: longer.join("&") }).valid).toBe(false);
        expect(judgeVector(vector, { body: fields.filter((_, place) => place !== index).join("&") }).valid).toBe(false);
      },
    ),
  );
  expect(judgeVector(vector, { body: "" }).valid).toBe(false);
  const json = { headers: { ...vector.headers, "content-type": "application/json" } };
  expect(judgeVector(vector, json).valid).toBe(false);
});

test("property: no field that Adyen signs can give a part of itself to its neighbour", () => {
  const vector = VECTORS.find(({ provider }) => provider === "adyen-payments") as Vector;
  const names = [
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "eventCode",
    "success",
  ];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.constantFrom(...names), fc.nat(12), (from, to, count) => {
      const body = JSON.parse(vector.body);
      const item = body.notificationItems[0].NotificationRequestItem;
      const moved = item[from].slice(0, count);
      fc.pre(from !== to && moved !== "");
      for (const [rest, grown] of [
        [item[from].slice(count), `${item[to]}:${moved}`],
        [item[from].slice(count), `${moved}:${item[to]}`],
      ]) {
        const changed = { ...item, [from]: rest, [to]: grown };
        body.notificationItems = [{ NotificationRequestItem: changed }];
        expect(judgeVector(vector, { body: JSON.stringify(body) }).valid).toBe(false);
      }
    }),
  );
  const body = JSON.parse(vector.body);
  body.notificationItems.push({ NotificationRequestItem: { eventCode: "REFUND" } });
  expect(judgeVector(vector, { body: JSON.stringify(body) })).toMatchObject({ check: "malformed_signature" });
});

test("property: arbitrary headers and bodies are refused with a known check, and never throw", () => {
  const places = SOURCES.flatMap(({ schemes }) => schemes.flatMap(({ method }) => method.places));
  const names = new Set(places.flatMap((place) => (place.from === "header" ? [place.name] : [])));
  const others = VECTORS.flatMap(({ headers }) => Object.keys(headers));
  const words = [
    "v1",
    "t",
    "=",
    ",",
    " ",
    ";",
    ".",
    "sha256=",
    "v0=",
    "HMAC ",
    "Bearer ",
    "Basic ",
    String(T),
    `${T}000`,
  ];
  const piece = fc.constantFrom(...words, "0".repeat(64), "A".repeat(43), "e30", "\u0000", "\ud800");
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 40 }).map((parts) => parts.join("")),
    fc.constantFrom(...VECTORS.flatMap(({ headers }) => Object.values(headers))),
  );
  const headers = fc.dictionary(fc.constantFrom(...names, ...others), text, { maxKeys: 12 });
  const body = fc.oneof(
    fc.uint8Array(),
    fc.json().map((json) => Buffer.from(json)),
    fc.constantFrom(...VECTORS.map((vector) => Buffer.from(vector.body.replace(/\d/, "7")))),
  );
  const prepared = SOURCES.map((source) => {
    const texts = source.schemes.map(({ method }) => method.generate?.() ?? WHSEC);
    return prepareSecrets(source, texts);
  });
  fc.assert(
    fc.property(headers, body, (head, content) => {
      const request = inbound(head, Buffer.from(content), { url: URL_AT });
      for (const secrets of prepared) {
        const outcome = verify(secrets.source, secrets, request, T * 1000);
        if (isNeededKey(outcome)) continue;
        if (outcome.valid) throw new Error("an unsigned request was accepted");
        expect(CHECKS).toContain(outcome.check);
        const { types, id } = identify(secrets.source, request);
        for (const value of [...types, id]) {
          if (value === null) continue;
          expect(value.length).toBeLessThanOrEqual(200);
          expect(value.isWellFormed() && !/\p{Cc}/u.test(value)).toBe(true);
        }
      }
    }),
    { numRuns: 500 },
  );
});
