/** `custom`, its two forms, and the forms of Standard Webhooks' secrets. */
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { findSource } from "../../src/signature/source.ts";
import { inbound, judge, T } from "./inbound-request.ts";
import { judgeVector, requestOf, secretOf, vectorOf } from "./vectors.ts";

test.each<[provider: string, afterMs: number, outcome: string]>([
  ["github", 0, "valid"],
  ["standardwebhooks", 300_000, "valid"],
  ["standardwebhooks", 301_000, "timestamp"],
  ["standardwebhooks", -301_000, "timestamp"],
  ["standardwebhooks-published", 0, "valid"],
])("the vector %s as custom, %i ms after its time: %s", (provider, afterMs, outcome) => {
  const verdict = judgeVector(vectorOf(provider), { afterMs }, "custom");
  expect(verdict.valid ? "valid" : verdict.check).toBe(outcome);
});

test("every signature counts: the vendor's second one matches the secret in force", () => {
  const vector = vectorOf("stripe-rotation");
  expect(judge("stripe", ["whsec_not_this_one", secretOf(vector)], requestOf(vector))).toEqual({
    valid: true,
    scheme: "stripe",
    secretIndex: 1,
    verified: true,
  });
});

describe("standardwebhooks-secret-forms", () => {
  const bytes = Buffer.alloc(25, 7);
  const padded = bytes.toString("base64");
  const unpadded = padded.replace(/=+$/, "");
  const id = "msg_1";
  const body = '{"type":"a.b"}';
  const signature = new Webhook(padded).sign(id, new Date(T * 1000), body);
  const request = inbound({ "webhook-id": id, "webhook-timestamp": String(T), "webhook-signature": signature }, body);

  test.each([padded, unpadded, `whsec_${padded}`, `whsec_${unpadded}`, `v1,whsec_${padded}`])("%s", (secret) => {
    expect(judge("standardwebhooks", secret, request).valid).toBe(true);
  });

  test("custom takes the whsec_ form only: never raw text, never bare base64", () => {
    expect(judge("custom", `whsec_${padded}`, request).valid).toBe(true);
    for (const secret of [padded, `v1,whsec_${padded}`]) {
      expect(judge("custom", secret, request)).toMatchObject({ valid: false, check: "secret" });
    }
  });

  test("a raw key signs for neither source", () => {
    const raw = "a raw secret of 32 characters...";
    const rawSignature = new Webhook(raw, { format: "raw" }).sign(id, new Date(T * 1000), body);
    const rawRequest = inbound(
      { "webhook-id": id, "webhook-timestamp": String(T), "webhook-signature": rawSignature },
      body,
    );
    expect(judge("custom", raw, rawRequest)).toMatchObject({ valid: false, check: "secret" });
    expect(judge("standardwebhooks", raw, rawRequest)).toMatchObject({ valid: false, check: "secret" });
    expect(judge("polar", raw, rawRequest).valid).toBe(true);
  });
});

test("type and id of the vectors", () => {
  const identity = (provider: string, source: string) => identify(findSource(source), requestOf(vectorOf(provider)));
  expect(identity("stripe", "stripe")).toMatchObject({ type: "issue.created", id: "evt_1", repeats: "signed-id" });
  expect(identity("standardwebhooks", "custom")).toMatchObject({
    type: "issue.created",
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    repeats: "signed-id",
  });
  expect(identity("standardwebhooks-published", "standardwebhooks")).toMatchObject({ type: null });
  expect(identity("github", "custom")).toMatchObject({ type: "issue.created", id: null, repeats: "none" });
});
