/** What must not pass, and what the refusal says. */
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { signOutbound } from "../../src/signature/outbound.ts";
import { findSource, prepareSecrets } from "../../src/signature/source.ts";
import { verify } from "../../src/signature/verify.ts";
import { type Headers, inbound, judge, OTHER_WHSEC, T, WHSEC } from "./inbound-request.ts";

const BODY = '{"type":"a.b","id":"evt_1"}';
const hub = (secret: string, body = BODY) => createHmac("sha256", secret).update(body).digest("hex");
const stripeHex = (stamp: number | string = T) => hub(WHSEC, `${stamp}.${BODY}`);
const HUB = { "x-hub-signature-256": `sha256=${hub(WHSEC)}` };
const STANDARD = {
  "webhook-id": "msg_1",
  "webhook-timestamp": String(T),
  "webhook-signature": signOutbound([WHSEC], "msg_1", T, Buffer.from(BODY)),
};
const B64 = STANDARD["webhook-signature"].slice(3);

/** The check that refuses, or "valid". */
function outcome(source: string, headers: Headers, nowSeconds = T, secrets: string | readonly string[] = WHSEC) {
  const verdict = judge(source, secrets, inbound(headers, BODY), nowSeconds);
  return verdict.valid ? "valid" : verdict.check;
}

function reason(source: string, headers: Headers, nowSeconds = T, secrets: string | readonly string[] = WHSEC) {
  const verdict = judge(source, secrets, inbound(headers, BODY), nowSeconds);
  return verdict.valid ? "valid" : verdict.reason;
}

describe("github", () => {
  const digest = hub(WHSEC);
  test.each<[string, string | undefined, string]>([
    ["as it should be", `sha256=${digest}`, "valid"],
    ["missing", undefined, "missing_signature"],
    ["empty", "", "missing_signature"],
    ["no prefix", digest, "malformed_signature"],
    ["prefix in upper case", `SHA256=${digest}`, "malformed_signature"],
    ["sha1", `sha1=${digest}`, "malformed_signature"],
    ["upper-case digits", `sha256=${digest.toUpperCase()}`, "malformed_signature"],
    ["a digit short", `sha256=${digest.slice(1)}`, "malformed_signature"],
    ["two digits more", `sha256=${digest}00`, "malformed_signature"],
    ["no digits after the digest", `sha256=${digest}zz`, "malformed_signature"],
    ["space inside", `sha256= ${digest}`, "malformed_signature"],
    ["nothing after the prefix", "sha256=", "malformed_signature"],
    ["base64", `sha256=${Buffer.from(digest, "hex").toString("base64")}`, "malformed_signature"],
    ["only commas", ",,,", "malformed_signature"],
    ["beyond ASCII", `sha256=${"\u0131".repeat(64)}`, "malformed_signature"],
    ["another digest", `sha256=${"0".repeat(64)}`, "signature"],
    ["repeated header, the second matches", `sha256=${"0".repeat(64)}, sha256=${digest}`, "valid"],
    ["repeated header without a space", `sha256=${digest},sha256=${"0".repeat(64)}`, "valid"],
    ["17 signatures", Array(17).fill(`sha256=${digest}`).join(","), "malformed_signature"],
    ["16 signatures", Array(16).fill(`sha256=${digest}`).join(","), "valid"],
    ["too long", `${" ".repeat(8_192)}sha256=${digest}`, "malformed_signature"],
    ["too many items", `${",".repeat(64)}sha256=${digest}`, "malformed_signature"],
  ])("%s", (_, value, expected) => {
    expect(outcome("github", { "x-hub-signature-256": value })).toBe(expected);
  });

  test("the sha1 header alone is no signature", () => {
    expect(outcome("github", { "x-hub-signature": `sha1=${"0".repeat(40)}` })).toBe("missing_signature");
  });
});

describe("stripe", () => {
  const v1 = `v1=${stripeHex()}`;
  test.each<[string, string, string]>([
    ["as it should be", `t=${T},${v1}`, "valid"],
    ["spaces after commas", `t=${T}, ${v1}`, "valid"],
    ["order does not matter", `${v1},t=${T}`, "valid"],
    ["other keys are ignored", `t=${T},v0=abc,x,${v1}`, "valid"],
    ["repeated header with one time", `t=${T},v1=${"0".repeat(64)}, t=${T},${v1}`, "valid"],
    ["two times", `t=${T - 1},t=${T},${v1}`, "timestamp"],
    ["no time", v1, "timestamp"],
    ["empty time", `t=,${v1}`, "timestamp"],
    ["only v0", `t=${T},v0=${stripeHex()}`, "malformed_signature"],
    ["only the time", `t=${T}`, "malformed_signature"],
    ["key in upper case", `t=${T},V1=${stripeHex()}`, "malformed_signature"],
    ["upper-case digits", `t=${T},v1=${stripeHex().toUpperCase()}`, "malformed_signature"],
    ["v1 without a value", `t=${T},v1`, "malformed_signature"],
    ["malformed beside a good one", `t=${T},v1=zz,${v1}`, "valid"],
    ["time not the signed one", `t=${T + 1},${v1}`, "signature"],
    ["signed with a plus", `t=+${T},v1=${stripeHex(`+${T}`)}`, "timestamp"],
    ["signed with a sign", `t=-${T},v1=${stripeHex(`-${T}`)}`, "timestamp"],
    ["signed in hexadecimal", `t=0x6553f100,v1=${stripeHex("0x6553f100")}`, "timestamp"],
    ["signed as a fraction", `t=${T}.0,v1=${stripeHex(`${T}.0`)}`, "timestamp"],
    ["signed in full-width digits", `t=１７,v1=${stripeHex("１７")}`, "timestamp"],
    ["signed with 16 digits", `t=${"9".repeat(16)},v1=${stripeHex("9".repeat(16))}`, "timestamp"],
    ["signed with text behind", `t=${T}x,v1=${stripeHex(`${T}x`)}`, "timestamp"],
  ])("%s", (_, value, expected) => {
    expect(outcome("stripe", { "stripe-signature": value })).toBe(expected);
  });
});

describe.each(["standardwebhooks", "custom"])("Standard Webhooks as %s", (source) => {
  test.each<[string, Headers, string]>([
    ["as it should be", {}, "valid"],
    ["no id", { "webhook-id": undefined }, "missing_field"],
    ["empty id", { "webhook-id": "" }, "missing_field"],
    ["no time", { "webhook-timestamp": undefined }, "timestamp"],
    ["another time", { "webhook-timestamp": String(T + 1) }, "signature"],
    ["leading zero", { "webhook-timestamp": `0${T}` }, "signature"],
    ["time in milliseconds", { "webhook-timestamp": `${T}000` }, "timestamp"],
    ["another id", { "webhook-id": "msg_2" }, "signature"],
    ["id with a space", { "webhook-id": "msg 1" }, "malformed_field"],
    ["id beyond ASCII", { "webhook-id": "msg_\u0131" }, "malformed_field"],
    ["id too long", { "webhook-id": "x".repeat(1_001) }, "malformed_field"],
    ["no version", { "webhook-signature": B64 }, "malformed_signature"],
    ["v1a only", { "webhook-signature": `v1a,${B64}` }, "malformed_signature"],
    ["v1a and v1", { "webhook-signature": `v1a,AAAA v1,${B64}` }, "valid"],
    ["several spaces", { "webhook-signature": `v1,AAAA   v1,${B64}` }, "valid"],
    ["repeated header", { "webhook-signature": `v1,AAAA, v1,${B64}` }, "valid"],
    ["repeated header without a space", { "webhook-signature": `v1,AAAA,v1,${B64}` }, "valid"],
    ["no padding", { "webhook-signature": `v1,${B64.replace("=", "")}` }, "malformed_signature"],
    ["more padding", { "webhook-signature": `v1,${B64}=` }, "malformed_signature"],
    ["base64url", { "webhook-signature": `v1,${"_".repeat(43)}=` }, "malformed_signature"],
    ["hexadecimal", { "webhook-signature": `v1,${Buffer.from(B64, "base64").toString("hex")}` }, "malformed_signature"],
    ["nothing after v1", { "webhook-signature": "v1," }, "malformed_signature"],
  ])("%s", (_, change, expected) => {
    expect(outcome(source, { ...STANDARD, ...change })).toBe(expected);
  });

  test("stray bits behind the digest make another text, not the same signature", () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const next = alphabet[alphabet.indexOf(B64[42] ?? "") + 1] ?? "";
    const stray = `${B64.slice(0, 42)}${next}=`;
    expect(Buffer.from(stray, "base64")).toEqual(Buffer.from(B64, "base64"));
    expect(outcome(source, { ...STANDARD, "webhook-signature": `v1,${stray}` })).toBe("malformed_signature");
  });

  test("id and time cannot trade bytes under one signature", () => {
    const content = `msg_1.${T}.7.{}`;
    const signature = `v1,${createHmac("sha256", Buffer.from(WHSEC.slice(6), "base64"))
      .update(content)
      .digest("base64")}`;
    const split = (id: string, stamp: string, body: string) =>
      judge(
        source,
        WHSEC,
        inbound({ "webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature }, body),
        T,
      );
    expect(split("msg_1", String(T), "7.{}")).toMatchObject({ valid: true });
    expect(split(`msg_1.${T}`, "7", "{}")).toMatchObject({ valid: false });
    expect(split(`msg_1.${T}`, String(T), "{}")).toMatchObject({ valid: false, check: "malformed_field" });
  });
});

describe("custom", () => {
  test("both forms at once are refused, though each would hold", () => {
    expect(outcome("custom", STANDARD)).toBe("valid");
    expect(outcome("custom", HUB)).toBe("valid");
    expect(outcome("custom", { ...STANDARD, ...HUB })).toBe("ambiguous");
    expect(reason("custom", { ...STANDARD, ...HUB })).toBe(
      "webhook-signature and x-hub-signature-256 are both present: the sender must use only one of them",
    );
  });

  test("a signature of one form is none of the other", () => {
    const asHub = { "x-hub-signature-256": `sha256=${Buffer.from(B64, "base64").toString("hex")}` };
    expect(outcome("custom", { ...STANDARD, "webhook-signature": undefined, ...asHub })).toBe("signature");
    const asStandard = Buffer.from(hub(WHSEC, `msg_1.${T}.${BODY}`), "hex").toString("base64");
    expect(outcome("custom", { ...STANDARD, "webhook-signature": `v1,${asStandard}` })).toBe("signature");
  });

  test("pinned to one form, the other counts for nothing", () => {
    const standard = findSource("custom", "standardwebhooks");
    const hubOnly = findSource("custom", "hub-signature-256");
    const both = inbound({ ...STANDARD, ...HUB }, BODY);
    expect(judge(standard, WHSEC, both)).toMatchObject({ valid: true, scheme: "standardwebhooks" });
    expect(judge(hubOnly, WHSEC, both)).toMatchObject({ valid: true, scheme: "hub-signature-256" });
    expect(judge(standard, WHSEC, inbound(HUB, BODY))).toEqual({
      valid: false,
      scheme: "standardwebhooks",
      check: "missing_signature",
      reason:
        "webhook-signature is missing; x-hub-signature-256 present, but the source is custom, " +
        "pinned to standardwebhooks",
    });
    expect(judge(hubOnly, WHSEC, inbound(STANDARD, BODY))).toMatchObject({ valid: false, check: "missing_signature" });
  });

  test("an unknown source behaves as custom", () => {
    expect(outcome("acme-corp", HUB)).toBe("valid");
    expect(outcome("acme-corp", STANDARD)).toBe("valid");
    expect(outcome("acme-corp", { "stripe-signature": `t=${T},v1=${stripeHex()}` })).toBe("missing_signature");
  });
});

describe("reasons", () => {
  const stripe = { "stripe-signature": `t=${T},v1=${stripeHex()}` };
  test.each<[string, string, Headers, number, string | readonly string[], string]>([
    [
      "another provider's header",
      "custom",
      stripe,
      T,
      WHSEC,
      "webhook-signature or x-hub-signature-256 is missing; stripe-signature present, but the source is custom",
    ],
    [
      "another provider's header",
      "stripe",
      HUB,
      T,
      WHSEC,
      "stripe-signature is missing; x-hub-signature-256 present, but the source is stripe",
    ],
    ["nothing at all", "github", {}, T, WHSEC, "x-hub-signature-256 is missing"],
    ["old", "stripe", stripe, T + 412, WHSEC, "timestamp 412 s old, tolerance 300 s"],
    ["ahead", "standardwebhooks", STANDARD, T - 301, WHSEC, "timestamp 301 s ahead, tolerance 300 s"],
    [
      "malformed time",
      "standardwebhooks",
      { ...STANDARD, "webhook-timestamp": "yesterday" },
      T,
      WHSEC,
      "timestamp malformed: webhook-timestamp must be seconds since 1970, digits only",
    ],
    [
      "form",
      "stripe",
      { "stripe-signature": `t=${T}` },
      T,
      WHSEC,
      "stripe-signature holds no signature of the form v1=<64 lower-case hexadecimal digits>",
    ],
    [
      "form",
      "standardwebhooks",
      { "webhook-signature": "x" },
      T,
      WHSEC,
      "webhook-signature holds no signature of the form v1,<base64 of 32 bytes>",
    ],
    [
      "dot in the id",
      "custom",
      { ...STANDARD, "webhook-id": "a.b" },
      T,
      WHSEC,
      'header webhook-id must not contain "."',
    ],
    [
      "one secret",
      "github",
      HUB,
      T,
      OTHER_WHSEC,
      "no signature matches under the active secret: another secret, or content changed on the way " +
        "(the exact bytes count)",
    ],
    [
      "two secrets",
      "github",
      HUB,
      T,
      [OTHER_WHSEC, "b"],
      "no signature matches under any of the 2 active secrets: another secret, or content changed on the way " +
        "(the exact bytes count)",
    ],
    ["no secret", "github", HUB, T, [], "the webhook has no active secret"],
    [
      "secret of another form",
      "custom",
      STANDARD,
      T,
      "plain",
      "webhook-signature needs a secret that is whsec_ followed by base64 of 24 to 64 bytes; " +
        "this webhook (source custom) has none",
    ],
  ])("%s, %s", (_, source, headers, now, secrets, expected) => {
    expect(reason(source, headers, now, secrets)).toBe(expected);
  });

  test("no reason quotes what the request or the webhook holds", () => {
    const marked = (value: string) => ({
      "webhook-id": `id-${value}`,
      "webhook-timestamp": value,
      "webhook-signature": `v1,${value}`,
      "stripe-signature": `t=${value},v1=${value}`,
      "x-hub-signature-256": `sha256=${value}`,
    });
    for (const value of ["MARKER", `${T}`, "0".repeat(64), `${"A".repeat(43)}=`]) {
      for (const source of ["custom", "standardwebhooks", "stripe", "github"]) {
        const text = reason(source, marked(value), T, ["MARKER-secret", WHSEC]);
        for (const hidden of ["MARKER", WHSEC.slice(6), "0".repeat(64), "A".repeat(43)]) {
          expect(text).not.toContain(hidden);
        }
      }
    }
  });
});

test("secrets prepared for another source are a programming error", () => {
  const prepared = prepareSecrets(findSource("github"), [WHSEC]);
  expect(() => verify(findSource("stripe"), prepared, inbound(HUB, BODY), T * 1000)).toThrow(TypeError);
});

test("a clock that is not a number opens nothing", () => {
  expect(outcome("standardwebhooks", STANDARD, Number.NaN)).toBe("timestamp");
});
