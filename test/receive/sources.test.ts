/** Verification by source: what the providers' own libraries sign is taken and named; everything else is refused and told why. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import {
  type CreatedWebhook,
  createWebhook,
  eventsOf,
  githubHeaders,
  type Headers,
  readEvent,
  seconds,
  standardHeaders,
  stripeHeaders,
} from "./senders.ts";

const STRIPE_BODY = '{"id":"evt_9","object":"event","type":"invoice.paid","note":"Zażółć 🚀"}';
const GITHUB_BODY = '{"action":"opened","issue":{"number":1}}';
const GITHUB_FORM = `payload=${encodeURIComponent('{"action":"closed","issue":{"title":"a+b & c"}}')}`;
const PLAIN_BODY = '{"type":"order.paid","id":"ord_1","n":1}';

const MISMATCH = /^no signature matches under the active secret: another secret, or content changed on the way/;

let service: TestService;
const webhooks = new Map<string, CreatedWebhook>();

beforeAll(async () => {
  service = await startService();
  for (const source of ["stripe", "github", "standardwebhooks", "custom"]) {
    webhooks.set(source, await createWebhook(service.api, { source }));
  }
});
afterAll(async () => {
  await service?.stop();
});

function webhookOf(source: string): CreatedWebhook {
  const webhook = webhooks.get(source);
  if (!webhook) throw new Error(`no webhook of source ${source}`);
  return webhook;
}

describe("signed by the provider's library", () => {
  const cases: [
    name: string,
    source: string,
    body: string,
    headers: (secret: string) => Headers | Promise<Headers>,
    event: object,
  ][] = [
    [
      "stripe",
      "stripe",
      STRIPE_BODY,
      (secret) => stripeHeaders(secret, STRIPE_BODY),
      { type: "invoice.paid", sourceEventId: "evt_9", scheme: "stripe" },
    ],
    [
      "github with an action",
      "github",
      GITHUB_BODY,
      (secret) => githubHeaders(secret, GITHUB_BODY, { delivery: "guid-1" }),
      { type: "issues.opened", sourceEventId: "guid-1", scheme: "github" },
    ],
    [
      "github's form, the signature over its raw bytes",
      "github",
      GITHUB_FORM,
      async (secret) => ({
        ...(await githubHeaders(secret, GITHUB_FORM, { delivery: "guid-3" })),
        "content-type": "application/x-www-form-urlencoded",
      }),
      { type: "issues.closed", sourceEventId: "guid-3", scheme: "github" },
    ],
    [
      "github without an action",
      "github",
      '{"zen":"Keep it logically awesome."}',
      (secret) => githubHeaders(secret, '{"zen":"Keep it logically awesome."}', { event: "ping", delivery: "guid-2" }),
      { type: "ping", sourceEventId: "guid-2", scheme: "github" },
    ],
    [
      "standardwebhooks",
      "standardwebhooks",
      PLAIN_BODY,
      (secret) => standardHeaders(secret, PLAIN_BODY, "msg_7"),
      { type: "order.paid", sourceEventId: "msg_7", scheme: "standardwebhooks" },
    ],
    [
      "custom, Standard Webhooks form",
      "custom",
      PLAIN_BODY,
      (secret) => standardHeaders(secret, PLAIN_BODY, "msg_8"),
      { type: "order.paid", sourceEventId: "msg_8", scheme: "standardwebhooks" },
    ],
    [
      "custom, hub form: an id in the body is no event id",
      "custom",
      PLAIN_BODY,
      (secret) => hubSignature(secret, PLAIN_BODY),
      { type: "order.paid", sourceEventId: null, scheme: "hub-signature-256" },
    ],
    [
      "custom, a body that is no JSON",
      "custom",
      "type=order.paid",
      (secret) => hubSignature(secret, "type=order.paid"),
      { type: null, sourceEventId: null, scheme: "hub-signature-256" },
    ],
  ];

  test.each(cases)("%s", async (_name, source, body, headersFor, event) => {
    const webhook = webhookOf(source);
    const answer = await send(webhook.receiveUrl, body, await headersFor(webhook.secret));
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({ received: true, eventId: expect.any(String), duplicate: false });
    expect(await readEvent(service.api, answer.body.eventId)).toMatchObject({
      webhookId: webhook.id,
      payload: body,
      status: "received",
      verified: true,
      synthetic: false,
      ...event,
    });
  });
});

describe("refused with 401 and the reason", () => {
  const OTHER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  const cases: [name: string, source: string, headers: (secret: string) => Headers | Promise<Headers>, help: RegExp][] =
    [
      ["stripe, tampered body", "stripe", (secret) => stripeHeaders(secret, `${PLAIN_BODY} `), MISMATCH],
      ["github, tampered body", "github", (secret) => githubHeaders(secret, `${PLAIN_BODY} `), MISMATCH],
      ["custom, tampered body", "custom", (secret) => hubSignature(secret, `${PLAIN_BODY} `), MISMATCH],
      ["standardwebhooks, tampered body", "standardwebhooks", (s) => standardHeaders(s, `${PLAIN_BODY} `), MISMATCH],
      [
        "standardwebhooks, another id than the signed one",
        "standardwebhooks",
        (secret) => ({ ...standardHeaders(secret, PLAIN_BODY), "webhook-id": "msg_2" }),
        MISMATCH,
      ],
      [
        "stripe, stale",
        "stripe",
        (s) => stripeHeaders(s, PLAIN_BODY, seconds(900)),
        /timestamp 9\d\d s old, tolerance 300 s/,
      ],
      ["custom, stale", "custom", (s) => standardHeaders(s, PLAIN_BODY, "m", seconds(900)), /timestamp 9\d\d s old/],
      [
        "custom, from the future",
        "custom",
        (s) => standardHeaders(s, PLAIN_BODY, "m", seconds(-900)),
        /timestamp \d+ s ahead/,
      ],
      ["stripe, wrong secret", "stripe", () => stripeHeaders(OTHER, PLAIN_BODY), MISMATCH],
      ["github, wrong secret", "github", () => githubHeaders(OTHER, PLAIN_BODY), MISMATCH],
      ["standardwebhooks, wrong secret", "standardwebhooks", () => standardHeaders(OTHER, PLAIN_BODY), MISMATCH],
      ["custom, wrong secret", "custom", () => hubSignature(OTHER, PLAIN_BODY), MISMATCH],
      ["stripe, no signature", "stripe", () => ({}), /^stripe-signature is missing$/],
      ["custom, no signature", "custom", () => ({}), /^webhook-signature or x-hub-signature-256 is missing$/],
      ["custom, an empty signature", "custom", () => ({ "x-hub-signature-256": "" }), /is missing/],
      [
        "github, no signature in the header",
        "github",
        () => ({ "x-hub-signature-256": "sha256=" }),
        /holds no signature of the form/,
      ],
      [
        "custom, both forms at once",
        "custom",
        (secret) => ({ ...hubSignature(secret, PLAIN_BODY), ...standardHeaders(secret, PLAIN_BODY) }),
        /both present/,
      ],
      [
        "stripe's signature at a custom webhook",
        "custom",
        (secret) => stripeHeaders(secret, PLAIN_BODY),
        /stripe-signature present, but the source is custom/,
      ],
      [
        "github's signature at a stripe webhook",
        "stripe",
        (secret) => githubHeaders(secret, PLAIN_BODY),
        /x-hub-signature-256 present, but the source is stripe/,
      ],
    ];

  test.each(cases)("%s", async (_name, source, headersFor, help) => {
    const webhook = webhookOf(source);
    const before = await eventsOf(service.api, webhook);
    const headers = await headersFor(webhook.secret);
    const answer = await send(webhook.receiveUrl, PLAIN_BODY, headers);
    expect(answer).toMatchObject({ status: 401, body: { error: { code: "UNAUTHORIZED", details: [] } } });
    expect(answer.body.error.message).toMatch(help);
    // Neither the secret nor the signature that would have been right stands in the reason.
    for (const value of [webhook.secret, ...Object.values(headers)].filter((text) => text.length > 8)) {
      expect(answer.body.error.message).not.toContain(value);
    }
    expect(await eventsOf(service.api, webhook)).toEqual(before);
  });

  test("a signature that another webhook's secret made", async () => {
    const { secret } = await createWebhook(service.api);
    const answer = await send(webhookOf("custom").receiveUrl, PLAIN_BODY, hubSignature(secret, PLAIN_BODY));
    expect(answer.status).toBe(401);
  });
});
