/** Payments and billing. */
import type { Preset } from "../preset.ts";

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
      "In the Dashboard under Developers, Webhooks, add an endpoint with the URL {receiveUrl} and choose its events.",
      "Reveal the endpoint's signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 10,
  },
} satisfies Record<string, Preset>;
