/** Code hosting, issue trackers and continuous integration. */
import type { Preset } from "../preset.ts";

export const CODE_HOSTING = {
  /** Neither the event's name nor the delivery's id is signed. */
  github: {
    label: "GitHub",
    docUrl: "https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries",
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
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Settings, Webhooks, the webhook's Secret field." },
    setup: [
      "In the repository's or organization's settings under Webhooks, add a webhook with the payload URL {receiveUrl}.",
      "Paste this webhook's secret into Secret; either content type works.",
      "Choose the events to send.",
    ],
    ackSecondsMax: 10,
    notes: ["GitHub does not retry by itself: a failed delivery is redelivered by hand or through its API."],
  },
} satisfies Record<string, Preset>;
