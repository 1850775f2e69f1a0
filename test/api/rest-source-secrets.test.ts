/** Secrets by source: which we make, which must be brought, and what a change of source asks for. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { secretOf, vectorOf } from "../signature/vectors.ts";
import { send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";

const PUBLIC_KEY = secretOf(vectorOf("discord"));
const TOPIC = "arn:aws:sns:us-east-1:123456789012:orders";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

const create = (fields: object) => service.api.post("/webhooks", { name: "w", ...fields });

test.each<[source: string, form: RegExp]>([
  ["custom", /^whsec_[A-Za-z0-9+/]{43}=$/],
  ["github", /^whsec_/],
  ["meta", /^whsec_/],
  ["adyen", /^[0-9a-f]{64}$/],
  ["airtable", /^[A-Za-z0-9+/]{43}=$/],
  ["telegram", /^[A-Za-z0-9_-]{43}$/],
  ["microsoft-graph", /^[A-Za-z0-9_-]{43}$/],
  ["postmark", /^alumia:[A-Za-z0-9_-]{43}$/],
  ["contentful", /^[0-9a-f]{64}$/],
])("%s: a secret of the form that it takes is made", async (source, form) => {
  const { status, body } = await create({ source });
  expect([status, body.secret]).toEqual([201, expect.stringMatching(form)]);
});

describe("a secret that only the provider can make", () => {
  test("is not there until it is brought; requests are refused with the reason", async () => {
    const { status, body: webhook } = await create({ source: "discord" });
    expect(status).toBe(201);
    expect(webhook).not.toHaveProperty("secret");
    const { headers, body } = vectorOf("discord");
    const refused = await send(webhook.receiveUrl, body, headers);
    expect([refused.status, refused.body.error.message]).toEqual([401, "the webhook has no active secret"]);

    const nothing = await service.api.post(`/webhooks/${webhook.id}/rotate`);
    expect(nothing.status).toBe(400);
    expect(nothing.body.error.details).toEqual([
      {
        field: "secret",
        rule: "required",
        message: 'only the provider can make it for source "discord": an Ed25519 public key, 64 hexadecimal digits',
      },
    ]);
    const brought = await service.api.post(`/webhooks/${webhook.id}/rotate`, { secret: PUBLIC_KEY });
    expect([brought.status, brought.body.secret]).toEqual([200, PUBLIC_KEY]);
    expect((await send(webhook.receiveUrl, body, headers)).status).toBe(204);
  });

  test.each<[source: string, secret: string, message: RegExp]>([
    ["discord", "whsec_AAAA", /^must be an Ed25519 public key/],
    ["aws-sns", "orders", /^must be the topic's ARN/],
    ["plaid", "client:secret", /^must be <environment>:<client id>:<secret>/],
    ["adyen", "no digits", /^must be hexadecimal digits/],
    ["postmark", "password", /^must be user:password/],
  ])("%s does not take %j", async (source, secret, message) => {
    const { status, body } = await create({ source, secret });
    expect(status).toBe(400);
    expect(body.error.details).toEqual([{ field: "secret", rule: "secret", message: expect.stringMatching(message) }]);
    expect(JSON.stringify(body)).not.toContain(`"${secret}"`);
  });
});

describe("another source", () => {
  test.each<[from: string, to: string, secret: string | undefined, ok: boolean]>([
    ["stripe", "github", undefined, true],
    ["stripe", "slack", undefined, true],
    ["stripe", "adyen", undefined, false],
    ["stripe", "adyen", "00ff", true],
    ["stripe", "telegram", undefined, false],
    ["stripe", "telegram", "a-token", true],
    ["stripe", "discord", undefined, false],
    ["stripe", "discord", PUBLIC_KEY, true],
    ["stripe", "aws-sns", TOPIC, true],
    ["telegram", "stripe", undefined, false],
    ["telegram", "okta", undefined, true],
    ["telegram", "postmark", undefined, false],
    ["telegram", "postmark", "user:password", true],
    ["discord", "stripe", undefined, false],
    ["discord", "telnyx", undefined, false],
    ["paypal", "stripe", "whsec_from_stripe", true],
  ])("%s to %s with the secret %j", async (from, to, secret, ok) => {
    const { body: webhook } = await create({ source: from });
    const answer = await service.api.patch(`/webhooks/${webhook.id}`, { source: to, ...(secret ? { secret } : {}) });
    expect([answer.status, answer.body.source ?? answer.body.error?.details?.[0]?.rule]).toEqual(
      ok ? [200, to] : [400, "required"],
    );
    expect((await service.api.get(`/webhooks/${webhook.id}`)).body.source).toBe(ok ? to : from);
  });
});

test.each([
  ["WhatsApp", "meta"],
  ["twitter", "x"],
  ["Standard-Webhooks", "standardwebhooks"],
  ["lemon-squeezy", "lemonsqueezy"],
  ["Acme Corp", "Acme Corp"],
])("the source %j is shown as %j", async (given, shown) => {
  expect((await create({ source: given })).body.source).toBe(shown);
});

test("a captured request is judged with the URL that it was sent to", async () => {
  const { secret, headers, body: payload, url } = vectorOf("square");
  const verify = (fields: object) =>
    service.api.post("/webhooks/verify", { source: "square", secret, headers, payload, ...fields });
  expect((await verify({ url })).body).toMatchObject({ valid: true, scheme: "square", eventType: "issue.created" });
  expect((await verify({ url: `${url}/` })).body).toMatchObject({ valid: false });
  expect((await verify({})).body).toMatchObject({
    valid: false,
    reason: expect.stringMatching(/a captured request its url$/),
  });
});
