/** Shops, billing, banking and shipping. */
import type { Preset } from "../preset.ts";

export const COMMERCE = {
  /** Topic and id are headers, which are not signed; one order may be the body of several topics. */
  shopify: {
    label: "Shopify",
    docUrl: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    schemes: [
      {
        kind: "hmac",
        name: "shopify",
        sig: { name: "x-shopify-hmac-sha256", extra: ["shopify-hmac-sha256"] },
        enc: "base64",
        type: ["h:x-shopify-topic", "h:shopify-topic"],
        id: ["h:x-shopify-webhook-id", "h:shopify-webhook-id"],
        repeats: "unsigned-id-and-type",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the app's client secret, as shown",
      where: "Partner Dashboard, the app, Settings; for webhooks made in the admin, Settings, Notifications, Webhooks.",
    },
    setup: [
      "Subscribe the topics to {receiveUrl} in the app's configuration, by the API, or under Settings, Notifications, Webhooks.",
      "Set the app's client secret (or the one shown below the list of webhooks) as this webhook's secret.",
    ],
    ackSecondsMax: 5,
    notes: ["After eight failures in four hours Shopify deletes a subscription that was made by the API."],
  },
  /** Paddle's own library puts up with five seconds only. */
  paddle: {
    label: "Paddle",
    docUrl: "https://developer.paddle.com/webhooks/signature-verification",
    schemes: [
      {
        kind: "hmac",
        name: "paddle",
        sig: { name: "paddle-signature", item: ";", kv: "=", key: "h1" },
        content: "{ts}:{body}",
        ts: { from: "sig", name: "ts", unit: "s", tol: 5, future: null },
        type: ["j:event_type"],
        id: ["j:event_id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "pdl_ntfset_…, as shown",
      where: "Developer tools, Notifications, the destination, Secret key.",
    },
    setup: [
      "Under Developer tools, Notifications add a destination of type webhook with the URL {receiveUrl}.",
      "Copy its secret key and set it as this webhook's secret.",
    ],
    ackSecondsMax: 5,
    notes: ["Keep this machine's clock right: a request may be five seconds old at most."],
  },
  lemonsqueezy: {
    label: "Lemon Squeezy",
    docUrl: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
    schemes: [
      {
        kind: "hmac",
        name: "lemonsqueezy",
        sig: { name: "x-signature" },
        type: ["j:meta.event_name", "h:x-event-name"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text, up to 40 characters", where: "Settings, Webhooks, Signing secret." },
    setup: [
      "Under Settings, Webhooks add a webhook with the callback URL {receiveUrl} and choose its events.",
      "Enter a signing secret and set the same text as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
  /** A retry counts its attempt in the body. */
  "coinbase-commerce": {
    label: "Coinbase Commerce",
    docUrl: "https://docs.cdp.coinbase.com/commerce/docs/webhooks-security",
    schemes: [
      {
        kind: "hmac",
        name: "coinbase-commerce",
        sig: { name: "x-cc-webhook-signature" },
        type: ["j:event.type"],
        id: ["j:event.id"],
        repeats: "restamped-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the shared secret, as shown",
      where: "Settings, Notifications, Show shared secret.",
    },
    setup: [
      "Under Settings, Notifications add the endpoint {receiveUrl}.",
      "Show the shared secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
  "modern-treasury": {
    label: "Modern Treasury",
    docUrl: "https://docs.moderntreasury.com/platform/reference/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "modern-treasury",
        sig: { name: "x-signature" },
        type: ["h:x-topic+j:event"],
        id: ["h:x-event-id"],
        repeats: "unsigned-id-and-type",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "the webhook key, as shown", where: "Developers, Webhooks, the endpoint's key." },
    setup: [
      "Under Developers, Webhooks add an endpoint with the URL {receiveUrl}.",
      "Copy the webhook key and set it as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
  plaid: {
    label: "Plaid",
    docUrl: "https://plaid.com/docs/api/webhooks/webhook-verification/",
    schemes: [
      {
        kind: "code",
        name: "plaid",
        code: "plaid",
        type: ["j:webhook_type+j:webhook_code"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "production:<client id>:<secret>, or sandbox:<client id>:<secret>",
      where: "Dashboard, Developers, Keys.",
    },
    setup: [
      "Give {receiveUrl} as webhook when you create link tokens, or under Developers, Webhooks.",
      "Set environment, client id and secret of the API, joined by colons, as this webhook's secret: Plaid tells its verification keys to its clients only.",
    ],
    ackSecondsMax: 10,
    notes: ["The key that a webhook names is fetched from production.plaid.com or sandbox.plaid.com."],
  },
  /** The event's state changes from try to try. */
  easypost: {
    label: "EasyPost",
    docUrl: "https://docs.easypost.com/guides/webhooks-guide",
    schemes: [
      {
        kind: "hmac",
        name: "easypost",
        sig: { name: "x-hmac-signature", prefix: "hmac-sha256-hex=" },
        key: { decode: "utf8-nfkd" },
        type: ["j:description"],
        id: ["j:id"],
        repeats: "restamped-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "The webhook's webhook_secret." },
    setup: [
      "Create a webhook with the URL {receiveUrl} in the dashboard or by the API.",
      "Give this webhook's secret as its webhook_secret.",
    ],
    ackSecondsMax: 7,
  },
} satisfies Record<string, Preset>;
