/** Bodies that are forms: GitHub's default sends its JSON in the field `payload`. */
import { expect, test, vi } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import type { InboundRequest } from "../../src/signature/request.ts";
import { findSource } from "../../src/signature/source.ts";

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";
const closed = encodeURIComponent('{"action":"closed"}');

function formRequest(body: string | Buffer, contentType: string | undefined): InboundRequest {
  const headers = new Map([["x-github-event", "issues"]]);
  headers.set("x-hub-signature-256", `sha256=${"0".repeat(64)}`);
  if (contentType !== undefined) headers.set("content-type", contentType);
  return {
    header: (name: string) => headers.get(name),
    body: Buffer.from(body),
    method: "POST",
    url: undefined,
  };
}

function typeOf(body: string | Buffer, contentType: string | undefined): string | null {
  return identify(findSource("github"), formRequest(body, contentType)).type;
}

test.each<[string, string | Buffer, string | undefined, string]>([
  ["the JSON in payload", `payload=${closed}`, FORM, "issues.closed"],
  [
    "beside other fields, in any case, with parameters",
    `a=b&payload=${closed}`,
    "Application/X-WWW-Form-Urlencoded; charset=utf-8",
    "issues.closed",
  ],
  ["plus signs as blanks", `payload=${closed.replace("%3A", "%3A+")}`, FORM, "issues.closed"],
  ["the field's name escaped", `%70ayloa%64=${closed}`, FORM, "issues.closed"],
  ["escapes of several bytes", `payload=${encodeURIComponent('{"action":"zażółć🚀"}')}`, FORM, "issues.zażółć🚀"],
  ["an escaped plus sign", "payload=%7B%22action%22%3A%22a%2Bb%22%7D", FORM, "issues.a+b"],
  ["an equals sign in the value", 'payload={"action":"a=b"}', FORM, "issues.a=b"],
  ["unescaped", 'payload={"action":"żółć"}', FORM, "issues.żółć"],
  ["empty fields around", `&&payload=${closed}&`, FORM, "issues.closed"],
  ["broken escapes in another field", `a=%zz&%=1&payload=${closed}`, FORM, "issues.closed"],
  ["JSON, whatever the type says", '{"action":"closed"}', FORM, "issues.closed"],
  ["no form, by its type", `payload=${closed}`, JSON_TYPE, "issues"],
  ["another type of form", `payload=${closed}`, "multipart/form-data; boundary=payload", "issues"],
  ["a form only in a parameter", `payload=${closed}`, `text/plain; was=${FORM}`, "issues"],
  ["two types", `payload=${closed}`, `${FORM}, ${JSON_TYPE}`, "issues"],
  ["an empty type", `payload=${closed}`, "", "issues"],
  ["no form, without a type", `payload=${closed}`, undefined, "issues"],
  ["a type that only begins so", `payload=${closed}`, `${FORM}-not`, "issues"],
  ["two payloads", `payload=${closed}&payload=${closed}`, FORM, "issues"],
  ["a second payload, its name escaped", `payload=${closed}&%70ayload=${closed}`, FORM, "issues"],
  ["a second payload without a value", `payload&payload=${closed}`, FORM, "issues"],
  ["a second payload that is empty", `payload=${closed}&payload=`, FORM, "issues"],
  ["a name in another case", `Payload=${closed}`, FORM, "issues"],
  ["a name that only begins so", `payload2=${closed}`, FORM, "issues"],
  ["a name that only ends so", `xpayload=${closed}`, FORM, "issues"],
  ["a question mark before the name", `?payload=${closed}`, FORM, "issues"],
  ["another field", `body=${closed}`, FORM, "issues"],
  ["broken JSON", "payload=%7B%22action%22", FORM, "issues"],
  ["JSON escaped twice", `payload=${encodeURIComponent(closed)}`, FORM, "issues"],
  ["a broken escape", 'payload={"action":"a%zz"}', FORM, "issues"],
  ["half an escape", 'payload={"action":"a%4"}', FORM, "issues"],
  ["a lone per cent sign", 'payload={"action":"100%"}', FORM, "issues"],
  ["escapes that are no UTF-8", 'payload={"action":"a%FF"}', FORM, "issues"],
  ["an overlong escape", 'payload={"action":"a%C1%A1"}', FORM, "issues"],
  ["an escaped surrogate", 'payload={"action":"a%ED%A0%80"}', FORM, "issues"],
  ["bytes that are no UTF-8", Buffer.from('payload={"action":"a\u00ff"}', "latin1"), FORM, "issues"],
  ["deep nesting", `payload=${"%5B".repeat(200_000)}`, FORM, "issues"],
  // A reader that takes more than linear time does not get through these in a test's time.
  ["five million fields", "&a".repeat(5_000_000), FORM, "issues"],
  ["five million separators", "&".repeat(5_000_000), FORM, "issues"],
  ["five million equals signs", "=".repeat(5_000_000), FORM, "issues"],
  ["a long broken escape", `payload=${"%".repeat(5_000_000)}`, FORM, "issues"],
  ["many payloads", "payload=&".repeat(500_000), FORM, "issues"],
  ["nothing", "", FORM, "issues"],
])("%s", (_what, body, contentType, type) => {
  expect(typeOf(body, contentType)).toBe(type);
});

test("the form is read at most once for a request", () => {
  const parse = vi.spyOn(JSON, "parse");
  try {
    const request = formRequest(`payload=${closed}`, FORM);
    expect(identify(findSource("github"), request).type).toBe("issues.closed");
    const calls = parse.mock.calls.length;
    expect(identify(findSource("github"), request).type).toBe("issues.closed");
    expect(parse).toHaveBeenCalledTimes(calls);
    // Once as JSON itself, once the field.
    expect(calls).toBe(2);
  } finally {
    parse.mockRestore();
  }
});
