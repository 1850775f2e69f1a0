import { describe, expect, test, vi } from "vitest";
import { compileSource } from "../../src/signature/compile.ts";
import { identify } from "../../src/signature/event-identity.ts";
import { findSource } from "../../src/signature/source.ts";
import { type Headers, inbound, judge, T, WHSEC } from "./inbound-request.ts";

const HUB = { "x-hub-signature-256": "sha256=0" };
const STRIPE = { "stripe-signature": "t=1,v1=0" };
const STANDARD = { "webhook-signature": "v1,0" };

describe("type and id", () => {
  test.each<[string, Headers, string, string | null, string | null, string]>([
    [
      "github",
      { ...HUB, "x-github-event": "issues", "x-github-delivery": "g1" },
      '{"action":"opened"}',
      "issues.opened",
      "g1",
      "unsigned-id",
    ],
    [
      "github",
      { ...HUB, "x-github-event": "push", "x-github-delivery": "g1" },
      '{"ref":"main"}',
      "push",
      "g1",
      "unsigned-id",
    ],
    ["github", { ...HUB, "x-github-event": "push" }, "payload=%7B%7D", "push", null, "unsigned-id"],
    ["github", { ...HUB, "x-github-event": "issues" }, '{"action":{"a":1}}', "issues", null, "unsigned-id"],
    ["github", HUB, '{"action":"opened"}', null, null, "unsigned-id"],
    ["stripe", STRIPE, '{"id":"evt_1","type":"invoice.paid"}', "invoice.paid", "evt_1", "signed-id"],
    ["stripe", STRIPE, '{"type":"invoice.paid"}', "invoice.paid", null, "none"],
    ["standardwebhooks", { ...STANDARD, "webhook-id": "msg_1" }, '{"type":"a","id":"no"}', "a", "msg_1", "signed-id"],
    ["custom", { ...STANDARD, "webhook-id": "msg_1" }, '{"type":"a"}', "a", "msg_1", "signed-id"],
    ["custom", { ...HUB, "webhook-id": "msg_1" }, '{"type":"a","id":"x"}', "a", null, "none"],
    ["custom", { ...HUB, ...STANDARD, "webhook-id": "msg_1" }, '{"type":"a"}', "a", null, "none"],
    ["custom", {}, '{"type":"a"}', "a", null, "none"],
  ])("%s %j %s", (source, headers, body, type, id, repeats) => {
    expect(identify(findSource(source), inbound(headers, body))).toMatchObject({ type, id, repeats });
  });

  test.each<[string, string | Buffer, string | null]>([
    ["a number", '{"type":7}', "7"],
    ["a large number", '{"type":12345678901}', "12345678901"],
    ["true", '{"type":true}', null],
    ["null", '{"type":null}', null],
    ["an object", '{"type":{"a":1}}', null],
    ["empty", '{"type":""}', null],
    ["200 characters", `{"type":"${"x".repeat(200)}"}`, "x".repeat(200)],
    ["201 characters", `{"type":"${"x".repeat(201)}"}`, null],
    ["NUL", '{"type":"a\\u0000b"}', null],
    ["line feed", '{"type":"a\\nb"}', null],
    ["DEL", '{"type":"a\\u007fb"}', null],
    ["C1 control", '{"type":"a\\u0085b"}', null],
    ["lone surrogate", '{"type":"a\\ud800"}', null],
    ["a pair of surrogates", '{"type":"\\ud83d\\ude80"}', "🚀"],
    ["an array", '[{"type":"a"}]', null],
    ["text", '"type"', null],
    ["no JSON", "type=a", null],
    ["empty body", "", null],
    ["not UTF-8", Buffer.concat([Buffer.from('{"type":"a'), Buffer.of(0xff), Buffer.from('"}')]), null],
    ["the last of two", '{"type":"a","type":"b"}', "b"],
    ["not from the prototype", '{"__proto__":{"type":"a"}}', null],
    ["deep nesting", "[".repeat(200_000), null],
  ])("%s", (_, body, type) => {
    expect(identify(findSource("custom"), inbound(HUB, body)).type).toBe(type);
  });

  test("header text is held to the same", () => {
    for (const value of ["", "a\u0000", "a\ud800", "x".repeat(201)]) {
      const headers = { ...HUB, "x-github-event": value, "x-github-delivery": value };
      expect(identify(findSource("github"), inbound(headers, "{}"))).toMatchObject({ type: null, id: null });
    }
  });

  test("a joined type over the bound is null, not cut", () => {
    const headers = { ...HUB, "x-github-event": "x".repeat(195) };
    expect(identify(findSource("github"), inbound(headers, '{"action":"open"}')).type).toHaveLength(200);
    expect(identify(findSource("github"), inbound(headers, '{"action":"opened"}')).type).toBeNull();
  });
});

test("lookups are tried in order, and steps of digits go into arrays", () => {
  const source = compileSource("x", {
    schemes: [
      {
        kind: "hmac",
        name: "x",
        sig: { name: "s" },
        type: ["h:X-Topic", "j:list.1.kind"],
        id: ["j:a", "j:b"],
        repeats: "restamped-id",
      },
    ],
  });
  const body = '{"list":[{"kind":"no"},{"kind":"yes"}],"b":5}';
  expect(identify(source, inbound({ s: "0" }, body))).toMatchObject({ type: "yes", id: "5", repeats: "restamped-id" });
  expect(identify(source, inbound({ s: "0", "x-topic": "t" }, body)).type).toBe("t");
  expect(identify(source, inbound({ s: "0" }, '{"list":"text"}')).type).toBeNull();
});

test("only what the body itself holds is looked up", () => {
  const source = compileSource("x", {
    schemes: [{ kind: "hmac", name: "x", sig: { name: "s" }, type: ["j:constructor.name"], id: [], repeats: "none" }],
  });
  expect(identify(source, inbound({ s: "0" }, "{}")).type).toBeNull();
});

test("the body is parsed once for type and id, and not at all to verify", () => {
  const parse = vi.spyOn(JSON, "parse");
  try {
    const request = inbound({ "stripe-signature": `t=${T},v1=${"0".repeat(64)}` }, '{"id":"evt_1","type":"a"}');
    judge("stripe", WHSEC, request);
    expect(parse).toHaveBeenCalledTimes(0);
    identify(findSource("stripe"), request);
    identify(findSource("stripe"), request);
    expect(parse).toHaveBeenCalledTimes(1);
  } finally {
    parse.mockRestore();
  }
});
