/** The sources as data. A name is a key of this table; `source.ts` looks names up. */
import type { HmacScheme, Preset } from "./scheme.ts";

/** Standard Webhooks 1.0.0: "Signature scheme" and "Webhook headers". */
const standardWebhooks = {
  kind: "hmac",
  name: "standardwebhooks",
  sig: { name: "webhook-signature", item: " ", kv: ",", key: "v1" },
  enc: "base64",
  content: "{header:webhook-id}.{ts}.{body}",
  ts: { from: "header", name: "webhook-timestamp", unit: "s", tol: 300, future: 300 },
  key: { decode: "base64", strip: ["v1,", "whsec_"], bytesMin: 24, bytesMax: 64 },
  type: ["j:type"],
  id: ["h:webhook-id"],
  repeats: "signed-id",
} as const satisfies HmacScheme;

/** The forms that `custom` accepts. A `whsec_` secret keys both, with different bytes. */
const customStandardWebhooks: HmacScheme = {
  ...standardWebhooks,
  key: { decode: "base64", prefix: "whsec_", bytesMin: 24, bytesMax: 64 },
};
const customHubSignature: HmacScheme = {
  kind: "hmac",
  name: "hub-signature-256",
  sig: { name: "x-hub-signature-256", prefix: "sha256=" },
  type: ["j:type"],
  id: [],
  repeats: "none",
};

export const PRESETS: Readonly<Record<string, Preset>> = {
  custom: { schemes: [customStandardWebhooks, customHubSignature] },
  standardwebhooks: { aliases: ["standard-webhook"], schemes: [standardWebhooks] },
  /** docs.stripe.com/webhooks: the secret is used verbatim, `whsec_` included. */
  stripe: {
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
  },
  /** docs.github.com/webhooks: neither the event's name nor the delivery's id is signed. */
  github: {
    aliases: ["github-enterprise"],
    schemes: [
      {
        kind: "hmac",
        name: "github",
        sig: { name: "x-hub-signature-256", prefix: "sha256=" },
        type: ["h:x-github-event+j:action"],
        id: ["h:x-github-delivery"],
        repeats: "unsigned-id",
        headers: { "user-agent": "GitHub-Hookshot/0000000" },
      },
    ],
  },
};
