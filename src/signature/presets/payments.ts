/** Payments. */
import type { Preset } from "../preset.ts";

const ADYEN_ITEM = "j:notificationItems.*.NotificationRequestItem";

export const PAYMENTS = {
  /** The secret is used verbatim, `whsec_` included. */
  stripe: {
    label: "Stripe",
    docUrl: "https://docs.stripe.com/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "stripe",
        sig: { name: "stripe-signature", item: ",", kv: "=", key: "v1" },
        content: "{ts}.{body}",
        ts: { from: "sig", name: "t", unit: "s", tol: 300, future: null },
        type: ["j:type"],
        id: ["j:id"],
        repeats: "signed-id",
        headers: { "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)" },
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "whsec_…, as shown",
      where: "Dashboard, Developers, Webhooks, the endpoint, Signing secret.",
    },
    setup: [
      "In the Dashboard under Developers, Webhooks add an endpoint with the URL {receiveUrl} and choose its events.",
      "Reveal the endpoint's signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 10,
    notes: ["Stripe retries for three days in live mode, three times in a sandbox."],
  },
  /** What is signed of the body is its CRC-32, which anybody can match with another body. */
  paypal: {
    label: "PayPal",
    docUrl: "https://developer.paypal.com/api/rest/webhooks/rest/",
    schemes: [
      {
        kind: "code",
        name: "paypal",
        code: "paypal",
        type: ["j:event_type"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: false,
    secret: {
      from: "known",
      form: "the webhook id",
      where: "Developer Dashboard, the app, Webhooks: shown once the URL is added.",
    },
    setup: [
      "In the Developer Dashboard under Apps & Credentials choose the app and add a webhook with the URL {receiveUrl}.",
      "Set the webhook id that appears as this webhook's secret.",
    ],
    ackSecondsMax: null,
    notes: [
      "PayPal signs a checksum of the body, not the body: treat what matters as a hint and read it back from the API.",
      "The signing certificate is fetched from api.paypal.com or api.sandbox.paypal.com and must chain to a public root.",
    ],
  },
  square: {
    label: "Square",
    docUrl: "https://developer.squareup.com/docs/webhooks/step3validate",
    schemes: [
      {
        kind: "hmac",
        name: "square",
        sig: { name: "x-square-hmacsha256-signature" },
        enc: "base64",
        content: "{url}{body}",
        type: ["j:type"],
        id: ["j:event_id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the signature key, as shown",
      where: "Developer Dashboard, the application, Webhooks, the subscription, Signature key.",
    },
    setup: [
      "In the Developer Dashboard under Webhooks, Subscriptions add one with the URL {receiveUrl}, exactly as it stands here.",
      "Show the signature key and set it as this webhook's secret.",
    ],
    ackSecondsMax: 10,
  },
  /** Eight fields of each item are signed; the rest is not. */
  adyen: {
    label: "Adyen, payments",
    docUrl: "https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures",
    aliases: ["adyen-payments"],
    schemes: [
      {
        kind: "hmac",
        name: "adyen",
        each: "notificationItems",
        sig: { from: "body", name: "NotificationRequestItem.additionalData.hmacSignature" },
        enc: "base64",
        content: [
          "{json:NotificationRequestItem.pspReference}",
          "{json:NotificationRequestItem.originalReference}",
          "{json:NotificationRequestItem.merchantAccountCode}",
          "{text:NotificationRequestItem.merchantReference}",
          "{json:NotificationRequestItem.amount.value}",
          "{json:NotificationRequestItem.amount.currency}",
          "{json:NotificationRequestItem.eventCode}",
          "{json:NotificationRequestItem.success}",
        ].join(":"),
        key: { decode: "hex" },
        type: [`${ADYEN_ITEM}.eventCode`],
        id: [`${ADYEN_ITEM}.pspReference+${ADYEN_ITEM}.eventCode+${ADYEN_ITEM}.success`],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: false,
    secret: {
      from: "provider",
      form: "the HMAC key, hexadecimal digits",
      where: "Customer Area, Developers, Webhooks, the webhook, HMAC key.",
    },
    setup: [
      "In the Customer Area under Developers, Webhooks add a standard webhook with the URL {receiveUrl}, method JSON.",
      "Generate an HMAC key and set it as this webhook's secret.",
    ],
    success: { status: 200, body: "[accepted]", contentType: "text/plain" },
    ackSecondsMax: 10,
    notes: ["Adyen signs eight fields of a notification; all others may be anybody's."],
  },
  "adyen-platform": {
    label: "Adyen, platforms and banking",
    docUrl: "https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures",
    schemes: [
      {
        kind: "hmac",
        name: "adyen-platform",
        sig: { name: "hmacsignature" },
        enc: "base64",
        key: { decode: "hex" },
        type: ["j:type"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the HMAC key, hexadecimal digits",
      where: "Customer Area, Developers, Webhooks, the webhook, HMAC key.",
    },
    setup: [
      "In the Customer Area under Developers, Webhooks add a webhook of the platform with the URL {receiveUrl}.",
      "Generate an HMAC key and set it as this webhook's secret.",
    ],
    ackSecondsMax: 10,
  },
  razorpay: {
    label: "Razorpay",
    docUrl: "https://razorpay.com/docs/webhooks/validate-test/",
    schemes: [
      {
        kind: "hmac",
        name: "razorpay",
        sig: { name: "x-razorpay-signature" },
        type: ["j:event"],
        id: ["h:x-razorpay-event-id"],
        repeats: "unsigned-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Dashboard, Account & Settings, Webhooks, the webhook's Secret." },
    setup: [
      "In the Dashboard under Account & Settings, Webhooks add {receiveUrl} and choose its events.",
      "Paste this webhook's secret into Secret.",
    ],
    ackSecondsMax: 5,
    notes: ["Razorpay retries for 24 hours, then disables the webhook."],
  },
  gocardless: {
    label: "GoCardless",
    docUrl: "https://developer.gocardless.com/getting-started/api/staying-up-to-date-with-webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "gocardless",
        sig: { name: "webhook-signature" },
        type: ["j:events.*.resource_type+j:events.*.action"],
        id: ["j:meta.webhook_id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Dashboard, Developers, the webhook endpoint's Secret." },
    setup: [
      "In the Dashboard under Developers create a webhook endpoint with the URL {receiveUrl}.",
      "Enter this webhook's secret as its secret.",
    ],
    ackSecondsMax: 10,
    notes: ["One request may bring several events."],
  },
} satisfies Record<string, Preset>;
