/** Bodies that are forms: GitHub's default sends its JSON in the field `payload`. */
import { expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { findSource } from "../../src/signature/source.ts";

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";
const closed = encodeURIComponent('{"action":"closed"}');

function typeOf(body: string | Buffer, contentType: string | undefined): string | null {
  const headers = new Map([["x-github-event", "issues"]]);
  headers.set("x-hub-signature-256", `sha256=${"0".repeat(64)}`);
  if (contentType !== undefined) headers.set("content-type", contentType);
  const request = {
    header: (name: string) => headers.get(name),
    body: Buffer.from(body),
    method: "POST",
    url: undefined,
  };
  return identify(findSource("github"), request).type;
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
  ["JSON, whatever the type says", '{"action":"closed"}', FORM, "issues.closed"],
  ["no form, by its type", `payload=${closed}`, JSON_TYPE, "issues"],
  ["no form, without a type", `payload=${closed}`, undefined, "issues"],
  ["a type that only begins so", `payload=${closed}`, `${FORM}-not`, "issues"],
  ["two payloads", `payload=${closed}&payload=${closed}`, FORM, "issues"],
  ["another field", `body=${closed}`, FORM, "issues"],
  ["broken JSON", "payload=%7B%22action%22", FORM, "issues"],
  ["broken escapes", "payload=%7B%22action%22%3A%zz", FORM, "issues"],
  ["bytes that are no UTF-8", Buffer.concat([Buffer.from("payload="), Buffer.from([0xff, 0xfe])]), FORM, "issues"],
  ["deep nesting", `payload=${"%5B".repeat(50_000)}`, FORM, "issues"],
  ["nothing", "", FORM, "issues"],
])("%s", (_what, body, contentType, type) => {
  expect(typeOf(body, contentType)).toBe(type);
});
