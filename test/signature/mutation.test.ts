/** Nothing that was signed can be changed unnoticed, and nothing that is sent can make the engine throw. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { sign } from "../../src/signature/sign.ts";
import { findSource, prepareSecrets, SOURCE_NAMES } from "../../src/signature/source.ts";
import { CHECKS } from "../../src/signature/verdict.ts";
import { verify } from "../../src/signature/verify.ts";
import { inbound, judge, T, verdictOf, WHSEC } from "./inbound-request.ts";

function signed(source: string, body: Buffer, eventId = "msg_1") {
  const list = sign(findSource(source), WHSEC, { body, type: "a.b", eventId, nowMs: T * 1000 });
  return Object.fromEntries(list?.headers ?? []);
}

describe.each(SOURCE_NAMES)("%s", (source) => {
  test("every flipped bit of the body is noticed", () => {
    const body = Buffer.from('{"id":"evt_1","type":"a.b"}');
    const headers = signed(source, body);
    expect(judge(source, WHSEC, inbound(headers, body)).valid).toBe(true);
    for (let bit = 0; bit < body.length * 8; bit += 1) {
      const changed = Buffer.from(body);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(judge(source, WHSEC, inbound(headers, changed))).toMatchObject({ valid: false, check: "signature" });
    }
  });

  test("a body cut or grown at either end is noticed", () => {
    const body = Buffer.from('{"type":"a.b"}');
    const headers = signed(source, body);
    const zero = Buffer.of(0);
    for (const changed of [
      body.subarray(1),
      body.subarray(0, -1),
      Buffer.concat([body, zero]),
      Buffer.concat([zero, body]),
      Buffer.alloc(0),
    ]) {
      expect(judge(source, WHSEC, inbound(headers, changed)).valid).toBe(false);
    }
  });

  test("property: whatever is signed is accepted, and refused when one byte of it differs", () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (content, position, mask) => {
        const body = Buffer.from(content);
        const headers = signed(source, body);
        expect(judge(source, WHSEC, inbound(headers, body)).valid).toBe(true);
        const changed = Buffer.from(body);
        const at = position % changed.length;
        changed.writeUInt8(changed.readUInt8(at) ^ mask, at);
        expect(judge(source, WHSEC, inbound(headers, changed)).valid).toBe(false);
      }),
    );
  });
});

const words = (text: string) => text.split(/[ ,]+/).join(" ").trim();

test.each(["webhook-id", "webhook-timestamp", "webhook-signature"])(
  "property: a changed character in %s is refused",
  (name) => {
    const body = Buffer.from('{"type":"a.b"}');
    const headers = signed("standardwebhooks", body);
    const value = headers[name] ?? "";
    fc.assert(
      fc.property(fc.nat(value.length - 1), fc.string({ minLength: 0, maxLength: 2 }), (at, instead) => {
        const changed = value.slice(0, at) + instead + value.slice(at + 1);
        // More separators change how the list is written, not what is signed.
        fc.pre(words(changed) !== words(value));
        expect(judge("standardwebhooks", WHSEC, inbound({ ...headers, [name]: changed }, body)).valid).toBe(false);
      }),
      { numRuns: 500 },
    );
  },
);

test("property: arbitrary headers and bodies are refused with a known check, and never throw", () => {
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-hub-signature-256"];
  const piece = fc.constantFrom(
    "v1",
    "t",
    "=",
    ",",
    " ",
    ";",
    "sha256=",
    String(T),
    "0".repeat(64),
    "\u0000",
    "\ud800",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 40 }).map((parts) => parts.join("")),
  );
  const headers = fc.dictionary(fc.constantFrom(...names, "x-github-event", "x-github-delivery"), text);
  const body = fc.oneof(
    fc.uint8Array(),
    fc.json().map((json) => Buffer.from(json)),
  );
  const prepared = SOURCE_NAMES.map((name) => prepareSecrets(findSource(name), [WHSEC, "plain text"]));
  fc.assert(
    fc.property(headers, body, (head, content) => {
      const request = inbound(head, Buffer.from(content));
      for (const secrets of prepared) {
        const verdict = verdictOf(verify(secrets.source, secrets, request, T * 1000));
        if (verdict.valid) throw new Error("an unsigned request was accepted");
        expect(CHECKS).toContain(verdict.check);
        const { type, id } = identify(secrets.source, request);
        for (const value of [type, id]) {
          if (value === null) continue;
          expect(value.length).toBeLessThanOrEqual(200);
          expect(value.isWellFormed() && !/\p{Cc}/u.test(value)).toBe(true);
        }
      }
    }),
    { numRuns: 500 },
  );
});
