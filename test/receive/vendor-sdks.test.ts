/** Requests that the vendors' own libraries sign at test time, posted to the running service. */
import { createHash, createHmac } from "node:crypto";
import { signRequest } from "@contentful/node-apps-toolkit";
import { Signature as HubspotSignature } from "@hubspot/api-client";
import Mux from "@mux/mux-node";
import { signWebhookPayload } from "@notionhq/client";
import { sign as signForGithub } from "@octokit/webhooks-methods";
import { getHmac as shopifyHmac } from "@shopify/shopify-api/test-helpers";
import { computeWebhookSignature } from "box-node-sdk/internal/utils";
import { AccessToken } from "livekit-server-sdk";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import twilio from "twilio";
import { afterAll, beforeAll, expect, test } from "vitest";
import { send } from "../support/api.ts";
import { startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { createWebhook, eventsOf, type Headers, readEvent, receiveUrlAt, seconds } from "./senders.ts";

const BODY = '{"id":"evt_1","type":"order.paid","note":"Zażółć 🚀 \\"q\\"","n":1}';
const JSON_TYPE = { "content-type": "application/json" };
const FORM = { CallSid: "CA1", From: "+14158675309", Digits: "1234", Note: "Zażółć & co" };

let service: TestService;

beforeAll(async () => {
  service = await startService({ env: { PUBLIC_URL: "https://hooks.example.com" } });
});
afterAll(async () => {
  await service?.stop();
});

/** What a library signs with, and for which URL. */
interface Asked {
  readonly secret: string;
  readonly url: string;
}

interface Signed {
  readonly headers: Headers;
  readonly body?: string;
  /** What is appended to the webhook's URL. */
  readonly query?: string;
}

interface Case {
  readonly source: string;
  /** Default: the one that we make. */
  readonly secret?: string;
  readonly sign: (asked: Asked) => Signed | Promise<Signed>;
  readonly event: object;
  readonly answer?: readonly [status: number, body: unknown];
}

/** Private in the library's types. */
const { webhooks: mux } = new Mux({ tokenId: "unused", tokenSecret: "unused" }) as unknown as {
  webhooks: { computeSignature(payload: string, secret: string): Promise<string> };
};
const path = (url: string) => new URL(url).pathname;

const CASES: Readonly<Record<string, Case>> = {
  stripe: {
    source: "stripe",
    sign: ({ secret }) => ({
      headers: {
        "stripe-signature": new Stripe("sk_unused").webhooks.generateTestHeaderString({ payload: BODY, secret }),
      },
    }),
    event: { type: "order.paid", sourceEventId: "evt_1" },
  },
  "@octokit/webhooks-methods": {
    source: "github",
    sign: async ({ secret }) => ({
      headers: {
        "x-hub-signature-256": await signForGithub(secret, BODY),
        "x-github-event": "ping",
        "x-github-delivery": "guid-1",
      },
    }),
    event: { type: "ping", sourceEventId: "guid-1" },
  },
  standardwebhooks: {
    source: "standardwebhooks",
    sign: ({ secret }) => ({
      headers: {
        "webhook-id": "msg_1",
        "webhook-timestamp": String(seconds()),
        "webhook-signature": new StandardWebhook(secret).sign("msg_1", new Date(seconds() * 1_000), BODY),
      },
    }),
    event: { type: "order.paid", sourceEventId: "msg_1" },
  },
  ...Object.fromEntries(
    ["svix", "clerk", "resend"].map((source): [string, Case] => [
      `svix for ${source}`,
      {
        source,
        sign: ({ secret }) => ({
          headers: {
            "svix-id": "msg_2",
            "svix-timestamp": String(seconds()),
            "svix-signature": new SvixWebhook(secret).sign("msg_2", new Date(seconds() * 1_000), BODY),
          },
        }),
        event: { type: "order.paid", sourceEventId: "msg_2", scheme: source },
      },
    ]),
  ),
  "twilio, a form": {
    source: "twilio",
    secret: "12345",
    sign: ({ secret, url }) => ({
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, `${url}?foo=1&bar=2`, FORM),
        "i-twilio-idempotency-token": "token-1",
      },
      body: new URLSearchParams(FORM).toString(),
      query: "?foo=1&bar=2",
    }),
    event: { type: null, sourceEventId: "token-1", scheme: "twilio" },
    answer: [200, "<Response/>"],
  },
  "twilio, a form, signed with the port": {
    source: "twilio",
    secret: "12345",
    sign: ({ secret, url }) => ({
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, url.replace(".com/", ".com:443/"), FORM),
      },
      body: new URLSearchParams(FORM).toString(),
    }),
    event: { scheme: "twilio" },
    answer: [200, "<Response/>"],
  },
  "twilio, JSON": {
    source: "twilio",
    secret: "12345",
    sign: ({ secret, url }) => {
      const query = `?foo=1&bodySHA256=${twilio.getExpectedBodyHash(BODY)}`;
      const signature = twilio.getExpectedTwilioSignature(secret, `${url}${query}`, {});
      return { headers: { ...JSON_TYPE, "x-twilio-signature": signature }, query };
    },
    event: { type: "order.paid", scheme: "twilio-json" },
  },
  ...Object.fromEntries(
    (["v1", "v2", "v3"] as const).map((version): [string, Case] => [
      `@hubspot/api-client ${version}`,
      {
        source: "hubspot",
        sign: ({ secret, url }) => {
          const timestamp = Date.now();
          const options = { clientSecret: secret, requestBody: HUBSPOT_BODY, url, timestamp, signature: "" };
          const signature = HubspotSignature.getSignature("POST", version, options) ?? "";
          const older = { "x-hubspot-signature": signature, "x-hubspot-signature-version": version };
          const v3 = { "x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": String(timestamp) };
          return { headers: { ...JSON_TYPE, ...(version === "v3" ? v3 : older) }, body: HUBSPOT_BODY };
        },
        event: { type: "contact.creation", scheme: version === "v3" ? "hubspot" : "hubspot-v1-v2" },
      },
    ]),
  ),
  "@notionhq/client": {
    source: "notion",
    secret: "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl",
    sign: async ({ secret }) => ({
      headers: { "x-notion-signature": await signWebhookPayload({ body: BODY, verificationToken: secret }) },
    }),
    event: { type: "order.paid", sourceEventId: "evt_1" },
  },
  "@shopify/shopify-api": {
    source: "shopify",
    secret: "hush_client_secret",
    sign: ({ secret }) => ({
      headers: {
        "x-shopify-hmac-sha256": shopifyHmac(BODY, secret),
        "x-shopify-topic": "orders/create",
        "x-shopify-webhook-id": "b54557e4",
      },
    }),
    event: { type: "orders/create", sourceEventId: "b54557e4" },
  },
  "@contentful/node-apps-toolkit": {
    source: "contentful",
    sign: ({ secret, url }) => {
      const headers = { "X-Contentful-Topic": "ContentManagement.Entry.publish", "X-Contentful-Idempotency-Key": "k1" };
      const signed = signRequest(secret, { method: "POST", path: `${path(url)}?a=1&b=%C5%BC`, headers, body: BODY });
      return { headers: { ...headers, ...(signed as unknown as Headers) }, query: "?a=1&b=%C5%BC" };
    },
    event: { type: "ContentManagement.Entry.publish", sourceEventId: "k1" },
  },
  "@mux/mux-node": {
    source: "mux",
    sign: async ({ secret }) => {
      const time = seconds();
      const signature = await mux.computeSignature(`${time}.${BODY}`, secret);
      return { headers: { "mux-signature": `t=${time},v1=${signature}` } };
    },
    event: { type: "order.paid", sourceEventId: "evt_1" },
  },
  "box-node-sdk": {
    source: "box",
    secret: "primary-key:secondary-key",
    sign: async ({ secret }) => {
      const version = { "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256" };
      const headers = { ...version, "box-delivery-timestamp": new Date(seconds() * 1_000).toISOString() };
      const [primary = "", secondary = ""] = secret.split(":");
      return {
        headers: {
          ...headers,
          "box-signature-primary": (await computeWebhookSignature(BODY, headers, primary, false)) ?? "",
          "box-signature-secondary": (await computeWebhookSignature(BODY, headers, secondary, false)) ?? "",
        },
      };
    },
    event: { type: null, sourceEventId: "evt_1" },
  },
  "livekit-server-sdk": {
    source: "livekit",
    secret: "APIkey:lk_secret_at_least_32_characters_long",
    sign: async ({ secret }) => {
      const [key, apiSecret] = secret.split(":");
      const token = new AccessToken(key, apiSecret, { ttl: 300 });
      token.sha256 = createHash("sha256").update(BODY).digest("base64");
      return { headers: { authorization: await token.toJwt(), "content-type": "application/webhook+json" } };
    },
    event: { type: null, sourceEventId: "evt_1" },
  },
};

const HUBSPOT_BODY = '[{"eventId":1,"subscriptionType":"contact.creation","note":"Zażółć 🚀","attemptNumber":0}]';

test.each(Object.entries(CASES))("%s", async (_library, { source, secret, sign, event, answer }) => {
  const webhook = await createWebhook(service.api, { source, ...(secret ? { secret } : {}) });
  const url = webhook.receiveUrl;
  expect(url).toMatch(/^https:\/\/hooks\.example\.com\/api\/v1\/webhooks\/receive\//);
  const { headers, body = BODY, query = "" } = await sign({ secret: webhook.secret, url });
  const target = receiveUrlAt(service.url, webhook) + query;

  const tampered = await send(target, body.replace("1", "2"), headers);
  expect([tampered.status, tampered.body.error?.code]).toEqual([401, "UNAUTHORIZED"]);
  expect(await eventsOf(service.api, webhook)).toEqual([]);

  const accepted = await send(target, body, headers);
  expect(accepted.status, JSON.stringify(accepted.body)).toBe(answer?.[0] ?? 200);
  if (answer) expect(accepted.body).toEqual(answer[1]);
  const [recorded] = await eventsOf(service.api, webhook);
  const details = await readEvent(service.api, recorded?.id ?? "");
  expect(details).toMatchObject({ verified: true, synthetic: false, payload: body, ...event });
});

test("what we deliver is verified by standardwebhooks and svix", async () => {
  const destination = await startDestination();
  try {
    const { body: webhook } = await service.api.post("/webhooks", { name: "out", url: destination.url });
    await service.api.post("/webhooks/test", { webhookId: webhook.id, payload: { type: "a", note: "Zażółć 🚀" } });
    const [arrival] = await destination.arrived(1);
    const headers = arrival?.headers as Record<string, string>;
    const body = arrival?.body.toString() ?? "";
    for (const Library of [StandardWebhook, SvixWebhook]) {
      expect(() => new Library(webhook.forwardSecret).verify(body, headers)).not.toThrow();
      expect(() => new Library(webhook.secret).verify(body, headers)).toThrow("No matching signature");
      expect(() => new Library(webhook.forwardSecret).verify(`${body} `, headers)).toThrow("No matching signature");
    }
  } finally {
    await destination.close();
  }
});

test("a Host that the sender chose is not the URL that was signed", async () => {
  const webhook = await createWebhook(service.api, { source: "square", secret: "asdf1234" });
  const signed = (url: string) => ({
    "x-square-hmacsha256-signature": createHmac("sha256", webhook.secret)
      .update(url + BODY)
      .digest("base64"),
  });
  const target = receiveUrlAt(service.url, webhook);
  expect((await send(target, BODY, signed(target))).status).toBe(401);
  expect((await send(target, BODY, { ...signed(target), "x-forwarded-host": new URL(target).host })).status).toBe(401);
  expect((await send(target, BODY, signed(webhook.receiveUrl))).status).toBe(200);
  expect((await send(`${target}?a=1`, BODY, signed(webhook.receiveUrl))).status).toBe(401);
  expect((await send(`${target}?a=1`, BODY, signed(`${webhook.receiveUrl}?a=1`))).status).toBe(200);
});
