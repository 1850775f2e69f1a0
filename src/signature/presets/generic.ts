/** Forms that belong to no provider: Standard Webhooks, and `custom` for senders that nobody listed. */
import type { Preset } from "../preset.ts";
import type { HmacScheme } from "../scheme.ts";

/** Standard Webhooks 1.0.0: "Signature scheme" and "Webhook headers". */
export const standardWebhooks = {
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

export const GENERIC = {
  custom: {
    label: "Custom",
    docUrl: null,
    schemes: [customStandardWebhooks, customHubSignature],
    bodyAuthenticated: true,
    secret: {
      from: "you",
      form: "whsec_ and base64 of 24 to 64 bytes for Standard Webhooks; any text for x-hub-signature-256",
      where: "The sender's configuration.",
    },
    setup: [
      "Have the sender POST to {receiveUrl}.",
      "Sign with the webhook's secret, either as Standard Webhooks does (webhook-id, webhook-timestamp, webhook-signature) or with x-hub-signature-256: sha256=<hexadecimal HMAC-SHA256 of the body>, never both.",
    ],
    ackSecondsMax: null,
  },
  standardwebhooks: {
    label: "Standard Webhooks",
    docUrl: "https://www.standardwebhooks.com",
    aliases: ["standard-webhook"],
    schemes: [standardWebhooks],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "whsec_ and base64 of 24 to 64 bytes",
      where: "The endpoint's page at the sender, or the sender's configuration.",
    },
    setup: ["Register {receiveUrl} as an endpoint.", "Set the endpoint's signing secret as this webhook's secret."],
    ackSecondsMax: 15,
  },
  /** The asymmetric form: Ed25519. */
  "standardwebhooks-v1a": {
    label: "Standard Webhooks, asymmetric",
    docUrl: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    schemes: [
      {
        kind: "public-key",
        name: "standardwebhooks-v1a",
        alg: "ed25519",
        sig: { name: "webhook-signature", item: " ", kv: ",", key: "v1a" },
        enc: "base64",
        content: "{header:webhook-id}.{ts}.{body}",
        ts: { from: "header", name: "webhook-timestamp", unit: "s", tol: 300, future: 300 },
        key: { decode: "raw-base64", strip: ["whpk_"] },
        type: ["j:type"],
        id: ["h:webhook-id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "known",
      form: "the sender's public key, whpk_ and base64 of 32 bytes",
      where: "The sender's documentation or its endpoint's page.",
    },
    setup: ["Register {receiveUrl} as an endpoint.", "Set the sender's public key as this webhook's secret."],
    ackSecondsMax: 15,
  },
} satisfies Record<string, Preset>;
