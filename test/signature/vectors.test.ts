/** The shared vectors: signatures made by vendor code or printed in vendor docs. */
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { findSource } from "../../src/signature/source.ts";
import { inbound, judge, T } from "./inbound-request.ts";

interface Vector {
  readonly provider: string;
  readonly secret: string;
  readonly timestamp?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const { vectors } = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8")) as {
  vectors: readonly Vector[];
};

function vector(provider: string): Vector {
  const found = vectors.find((candidate) => candidate.provider === provider);
  if (found === undefined) throw new Error(`no vector ${provider}`);
  return found;
}

/** seconds after the vector's timestamp → the check that refuses, or "valid". */
const cases: readonly [provider: string, source: string, offset: number, outcome: string][] = [
  ["stripe", "stripe", 0, "valid"],
  ["stripe", "stripe", 300, "valid"],
  ["stripe", "stripe", 301, "timestamp"],
  ["stripe", "stripe", -3600, "valid"],
  ["stripe-rotation", "stripe", 0, "valid"],
  ["github", "github", 0, "valid"],
  ["github", "custom", 0, "valid"],
  ["github-docs-example", "github", 0, "valid"],
  ["standardwebhooks", "standardwebhooks", 0, "valid"],
  ["standardwebhooks", "standardwebhooks", 300, "valid"],
  ["standardwebhooks", "standardwebhooks", 301, "timestamp"],
  ["standardwebhooks", "standardwebhooks", -300, "valid"],
  ["standardwebhooks", "standardwebhooks", -301, "timestamp"],
  ["standardwebhooks", "custom", 300, "valid"],
  ["standardwebhooks", "custom", 301, "timestamp"],
  ["standardwebhooks", "custom", -301, "timestamp"],
  ["standardwebhooks-published", "standardwebhooks", 0, "valid"],
  ["standardwebhooks-published", "custom", 0, "valid"],
];

test.each(cases)("%s as %s at %i s: %s", (provider, source, offset, outcome) => {
  const { secret, headers, body, timestamp = T } = vector(provider);
  const verdict = judge(source, secret, inbound(headers, body), timestamp + offset);
  expect(verdict.valid ? "valid" : verdict.check).toBe(outcome);
});

test.each(["stripe", "github", "github-docs-example", "standardwebhooks"])("%s tampered is refused", (provider) => {
  const { secret, headers, body } = vector(provider);
  const source = provider.startsWith("github") ? "github" : provider;
  expect(judge(source, secret, inbound(headers, `${body} `))).toMatchObject({ valid: false, check: "signature" });
});

test("every signature counts: the vendor's second one matches the secret in force", () => {
  const { secret, headers, body } = vector("stripe-rotation");
  expect(judge("stripe", ["whsec_not_this_one", secret], inbound(headers, body))).toEqual({
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
  });
});

test("type and id of the vectors", () => {
  const identity = (provider: string, source: string) => {
    const { headers, body } = vector(provider);
    return identify(findSource(source), inbound(headers, body));
  };
  expect(identity("stripe", "stripe")).toMatchObject({ type: "issue.created", id: "evt_1", repeats: "signed-id" });
  expect(identity("standardwebhooks", "custom")).toMatchObject({
    type: "issue.created",
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    repeats: "signed-id",
  });
  expect(identity("standardwebhooks-published", "standardwebhooks")).toMatchObject({ type: null });
  expect(identity("github", "custom")).toMatchObject({ type: "issue.created", id: null, repeats: "none" });
});
