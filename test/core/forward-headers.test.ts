import { describe, expect, test } from "vitest";
import { buildForwardHeaders, type ForwardContext, HOPS_MAX, hopsOf } from "../../src/core/forward-headers.ts";
import type { Header } from "../../src/outbound/exchange.ts";

const CONTEXT: ForwardContext = {
  webhookId: "wh-1",
  attemptNumber: 3,
  timestampSeconds: 1_795_435_200,
  signature: "v1,c2ln",
  version: "1.2.3",
};

const OURS: readonly Header[] = [
  ["user-agent", "Alumia-Webhooks/1.2.3"],
  ["webhook-id", "evt-1"],
  ["webhook-timestamp", "1795435200"],
  ["webhook-signature", "v1,c2ln"],
  ["alumia-hops", "1"],
  ["alumia-event-type", "invoice.paid"],
  ["alumia-attempt", "3"],
  ["alumia-webhook-id", "wh-1"],
];

function build(headers: readonly Header[], context: Partial<ForwardContext> = {}, type = "invoice.paid"): Header[] {
  return buildForwardHeaders({ id: "evt-1", type, headers }, { ...CONTEXT, ...context });
}

/** The provider's part of the list. */
function passed(headers: readonly Header[], context: Partial<ForwardContext> = {}): Header[] {
  return build(headers, context).slice(0, -OURS.length);
}

describe("buildForwardHeaders", () => {
  test("ours follow the provider's, which keep order and repetition", () => {
    const provider: Header[] = [
      ["content-type", "application/json; charset=utf-8"],
      ["stripe-signature", "t=1,v1=ab"],
      ["x-hub-signature-256", "sha256=00"],
      ["content-encoding", "gzip"],
      ["x-many", "1"],
      ["x-many", "2"],
      ["x-empty", ""],
      ["x-latin", "caf\u00e9"],
    ];
    expect(build(provider)).toEqual([...provider, ...OURS]);
    expect(build(provider.map(([name, value]) => [name.toUpperCase(), value]))).toEqual([...provider, ...OURS]);
  });

  test.each([
    ..."Connection Keep-Alive Proxy-Connection TE Trailer Transfer-Encoding Upgrade HTTP2-Settings".split(" "),
    ..."Host Content-Length Expect Accept-Encoding Authorization Proxy-Authorization Cookie Set-Cookie".split(" "),
    ..."X-Api-Key X-Auth-Token X-Gitlab-Token X-Telegram-Bot-Api-Secret-Token Forwarded Via X-Real-IP".split(" "),
    ..."X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host CF-Ray CF-Connecting-IP True-Client-IP".split(" "),
    ..."Alumia-Attempt Alumia-Anything".split(" "),
  ])("%s is not passed on", (name) => {
    expect(passed([[name, "x"]])).toEqual([]);
  });

  test("what Connection names is this hop's own", () => {
    const headers: Header[] = [
      ["X-Hop", "1"],
      ["Connection", "close, X-HOP"],
      ["connection", "x-other"],
      ["x-other", "2"],
      ["x-stays", "3"],
    ];
    expect(passed(headers)).toEqual([["x-stays", "3"]]);
  });

  test("a token scheme's header is named by the caller", () => {
    expect(passed([["X-Partner-Secret", "s"]], { credentialHeaders: ["x-partner-secret"] })).toEqual([]);
    expect(passed([["X-Partner-Secret", "s"]])).toEqual([["x-partner-secret", "s"]]);
  });

  test("with a trace of our own, the provider's travels as original-…; without, as it came", () => {
    const theirs: Header[] = [
      ["traceparent", "00-theirs"],
      ["tracestate", "a=b"],
    ];
    const renamed = theirs.map(([name, value]): Header => [`original-${name}`, value]);
    expect(build(theirs, { traceparent: "00-ours" })).toEqual([...renamed, ...OURS, ["traceparent", "00-ours"]]);
    expect(build([], { traceparent: "00-ours" })).toEqual([...OURS, ["traceparent", "00-ours"]]);
    expect(build(theirs, { traceparent: null })).toEqual([...theirs, ...OURS]);
  });

  test("the provider's names that are ours too travel as original-…", () => {
    const headers: Header[] = [
      ["Webhook-Id", "msg_1"],
      ["webhook-timestamp", "1"],
      ["webhook-signature", "v1,theirs"],
      ["User-Agent", "Stripe/1.0"],
    ];
    expect(build(headers)).toEqual([
      ["original-webhook-id", "msg_1"],
      ["original-webhook-timestamp", "1"],
      ["original-webhook-signature", "v1,theirs"],
      ["original-user-agent", "Stripe/1.0"],
      ...OURS,
    ]);
  });

  test("behind another gateway the latest provider's names win, and there is one of each", () => {
    const headers: Header[] = [
      ["original-webhook-id", "first"],
      ["webhook-id", "second"],
      ["original-user-agent", "Stripe/1.0"],
      ["original-other", "stays"],
    ];
    expect(passed(headers)).toEqual([
      ["original-webhook-id", "second"],
      ["original-user-agent", "Stripe/1.0"],
      ["original-other", "stays"],
    ]);
  });

  test("what is no valid header is dropped", () => {
    const headers: Header[] = [
      ["x-crlf", "a\r\nx-injected: 1"],
      ["x-lf", "a\nb"],
      ["x-nul", "a\u0000b"],
      ["x-wide", "\u4f60"],
      ["x bad", "1"],
      ["", "1"],
      [":path", "/"],
      ["x-tab", "a\tb"],
    ];
    expect(passed(headers)).toEqual([["x-tab", "a\tb"]]);
    expect(build([], {}, "type\r\nx: y").map(([name]) => name)).not.toContain("alumia-event-type");
  });

  test("an unverified event goes unsigned, and a provider's signature does not take the place", () => {
    const names = build([["webhook-signature", "v1,forged"]], { signature: null }).map(([name]) => name);
    expect(names).not.toContain("webhook-signature");
    expect(names).toContain("original-webhook-signature");
  });

  test("hops are counted on", () => {
    expect(build([["Alumia-Hops", "3"]])).toContainEqual(["alumia-hops", "4"]);
    expect(build([["Alumia-Hops", "3"]]).filter(([name]) => name === "alumia-hops")).toHaveLength(1);
  });
});

describe("hopsOf", () => {
  test.each([
    [[], 0],
    [["0"], 0],
    [["4"], 4],
    [[" 4 "], 4],
    [["1", "3", "2"], 3],
    [["999"], 999],
    [["-1"], HOPS_MAX + 1],
    [["1e1"], HOPS_MAX + 1],
    [[""], HOPS_MAX + 1],
    [["9999"], HOPS_MAX + 1],
    [["0, 0"], HOPS_MAX + 1],
  ])("%j", (values, hops) => {
    expect(hopsOf(values.map((value) => ["Alumia-Hops", value] as const))).toBe(hops);
  });
});
