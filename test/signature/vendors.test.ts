/** Vendors' own libraries sign and we verify; we sign and they verify. */
import { sign as githubSign, verify as githubVerify } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { generateSecret } from "../../src/signature/key.ts";
import { prepareForwardSecrets, signOutbound, signPrepared } from "../../src/signature/outbound.ts";
import { type SignInput, SigningError, samplePayload, sign } from "../../src/signature/sign.ts";
import { findSource } from "../../src/signature/source.ts";
import { inbound, judge, OTHER_WHSEC, T, WHSEC } from "./inbound-request.ts";

const stripe = new Stripe("sk_test_unused");
const TEXT = '{"id":"evt_9","type":"invoice.paid","note":"Zażółć 🚀"}';
const GITHUB_SECRET = "It's a Secret to Everybody";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: T * 1000 });
});
afterEach(() => {
  vi.useRealTimers();
});

function signed(source: string, secret: string, input: Partial<SignInput> = {}) {
  const whole = { body: Buffer.from(TEXT), type: "invoice.paid", eventId: "evt_9", nowMs: T * 1000, ...input };
  return Object.fromEntries(sign(findSource(source), secret, whole)?.headers ?? []);
}

describe("signed by the vendor", () => {
  test("stripe", () => {
    const signature = stripe.webhooks.generateTestHeaderString({ payload: TEXT, secret: WHSEC, timestamp: T });
    const request = inbound({ "Stripe-Signature": signature }, TEXT);
    expect(judge("stripe", WHSEC, request)).toEqual({ valid: true, scheme: "stripe", secretIndex: 0, verified: true });
    expect(judge("stripe", OTHER_WHSEC, request)).toMatchObject({ valid: false, check: "signature" });
  });

  test("github", async () => {
    const request = inbound({ "x-hub-signature-256": await githubSign(GITHUB_SECRET, TEXT) }, TEXT);
    expect(judge("github", GITHUB_SECRET, request)).toEqual({
      valid: true,
      scheme: "github",
      secretIndex: 0,
      verified: true,
    });
    expect(judge("github", `${GITHUB_SECRET}!`, request)).toMatchObject({ valid: false, check: "signature" });
  });

  test("standardwebhooks, every signature against every secret", () => {
    const at = new Date(T * 1000);
    const list = [OTHER_WHSEC, WHSEC].map((secret) => new Webhook(secret).sign("msg_1", at, TEXT)).join(" ");
    const headers = { "webhook-id": "msg_1", "webhook-timestamp": String(T), "webhook-signature": list };
    expect(judge("custom", [generateSecret(), WHSEC], inbound(headers, TEXT))).toEqual({
      valid: true,
      scheme: "standardwebhooks",
      secretIndex: 1,
      verified: true,
    });
    expect(judge("custom", [generateSecret(), generateSecret()], inbound(headers, TEXT)).valid).toBe(false);
  });

  test("custom's hub form is keyed with the secret's whole text", async () => {
    const headers = { "x-hub-signature-256": await githubSign(WHSEC, TEXT) };
    expect(judge("custom", WHSEC, inbound(headers, TEXT))).toMatchObject({ valid: true, scheme: "hub-signature-256" });
    const stripped = { "x-hub-signature-256": await githubSign(WHSEC.slice(6), TEXT) };
    expect(judge("custom", WHSEC, inbound(stripped, TEXT))).toMatchObject({ valid: false, check: "signature" });
  });
});

describe("verified by the vendor", () => {
  test("stripe", () => {
    const headers = signed("stripe", WHSEC);
    const event = stripe.webhooks.constructEvent(TEXT, headers["stripe-signature"] ?? "", WHSEC);
    expect(event.id).toBe("evt_9");
    expect(Object.keys(headers).toSorted()).toEqual(["stripe-signature", "user-agent"]);
    expect(judge("stripe", WHSEC, inbound(headers, TEXT)).valid).toBe(true);
  });

  test("github", async () => {
    const headers = signed("github", GITHUB_SECRET, { type: "issues.opened", eventId: "guid-1" });
    expect(await githubVerify(GITHUB_SECRET, TEXT, headers["x-hub-signature-256"] ?? "")).toBe(true);
    expect(headers).toMatchObject({ "x-github-event": "issues", "x-github-delivery": "guid-1" });
    expect(headers["user-agent"]).toMatch(/^GitHub-Hookshot\//);
  });

  test.each(["standardwebhooks", "custom"])("%s", (source) => {
    const headers = signed(source, WHSEC);
    expect(new Webhook(WHSEC).verify(TEXT, headers)).toMatchObject({ id: "evt_9" });
    expect(headers).toMatchObject({ "webhook-id": "evt_9", "webhook-timestamp": String(T) });
    expect(() => new Webhook(OTHER_WHSEC).verify(TEXT, headers)).toThrow("No matching signature");
  });

  test("custom with a secret of another form, and pinned", async () => {
    const headers = signed("custom", "plain secret");
    expect(Object.keys(headers)).toEqual(["x-hub-signature-256"]);
    expect(await githubVerify("plain secret", TEXT, headers["x-hub-signature-256"] ?? "")).toBe(true);
    const pinned = sign(findSource("custom", "hub-signature-256"), WHSEC, {
      body: Buffer.from(TEXT),
      type: "a",
      eventId: "b",
      nowMs: 0,
    });
    expect([...(pinned?.headers.keys() ?? [])]).toEqual(["x-hub-signature-256"]);
  });

  test("outbound: every secret signs", () => {
    const body = Buffer.from(TEXT);
    const signature = signOutbound([WHSEC, OTHER_WHSEC], "0199-event", T, body);
    expect(signature).toMatch(/^v1,\S{44} v1,\S{44}$/);
    const headers = { "webhook-id": "0199-event", "webhook-timestamp": String(T), "webhook-signature": signature };
    for (const secret of [WHSEC, OTHER_WHSEC]) {
      expect(new Webhook(secret).verify(TEXT, headers)).toMatchObject({ id: "evt_9" });
    }
    expect(() => new Webhook(generateSecret()).verify(TEXT, headers)).toThrow("No matching signature");
    expect(signPrepared(prepareForwardSecrets([WHSEC, OTHER_WHSEC]), "0199-event", T, body)).toBe(signature);
  });

  test("outbound: bytes that are no UTF-8 are signed as they are", () => {
    const body = Buffer.from([0xff, 0x00, 0xfe]);
    const headers = {
      "webhook-id": "e",
      "webhook-timestamp": String(T),
      "webhook-signature": signOutbound([WHSEC], "e", T, body),
    };
    expect(judge("custom", WHSEC, inbound(headers, body)).valid).toBe(true);
    expect(judge("custom", WHSEC, inbound(headers, body.toString("utf8"))).valid).toBe(false);
  });
});

describe("a test event is read back as it was asked for", () => {
  test.each([
    ["stripe", WHSEC, "invoice.paid", "signed-id"],
    ["github", GITHUB_SECRET, "issues.opened", "unsigned-id"],
    ["github", GITHUB_SECRET, "push", "unsigned-id"],
    ["standardwebhooks", WHSEC, "user.created", "signed-id"],
    ["custom", WHSEC, "test", "signed-id"],
  ])("%s %s %s", (name, secret, type, repeats) => {
    const source = findSource(name);
    const asked = { type, eventId: "evt_42", nowMs: T * 1000 };
    const body = Buffer.from(JSON.stringify(samplePayload(source, asked)));
    const request = inbound(signed(name, secret, { ...asked, body }), body);
    expect(judge(source, secret, request).valid).toBe(true);
    expect(identify(source, request)).toMatchObject({ type, id: "evt_42", repeats });
  });
});

describe("what cannot be signed", () => {
  const body = Buffer.from(TEXT);

  test("secrets that do not fit, without quoting them", () => {
    for (const act of [
      () => signed("standardwebhooks", "hunter2!"),
      () => signOutbound(["hunter2!"], "e", T, body),
      () => signOutbound([WHSEC, "hunter2!"], "e", T, body),
    ]) {
      expect(act).toThrow(/^the (?:forward )?secret must be (?:whsec_ followed by )?base64 of 24 to 64 bytes/);
      expect(act).not.toThrow(/hunter2/);
    }
    expect(() => signed("standardwebhooks", "hunter2!")).toThrow(SigningError);
  });

  test("an id that would blur the signed content", () => {
    for (const id of ["", "a.b", "a b", "a\n", "ä", "x".repeat(201)]) {
      expect(() => signOutbound([WHSEC], id, T, body)).toThrow(RangeError);
    }
    expect(() => signed("standardwebhooks", WHSEC, { eventId: "a.b" })).toThrow(SigningError);
  });

  test("bounds of secrets and time", () => {
    expect(() => signOutbound([], "e", T, body)).toThrow(RangeError);
    expect(() => signOutbound(Array(17).fill(WHSEC), "e", T, body)).toThrow(RangeError);
    for (const seconds of [-1, 1.5, Number.NaN]) {
      expect(() => signOutbound([WHSEC], "e", seconds, body)).toThrow(RangeError);
    }
  });
});
