/** Planning, design, scheduling and forms. */
import type { Preset } from "../preset.ts";

export const WORK = {
  /** A retry counts its attempt in the body. */
  notion: {
    label: "Notion",
    docUrl: "https://developers.notion.com/reference/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "notion",
        sig: { name: "x-notion-signature", prefix: "sha256=" },
        hexCase: "any",
        type: ["j:type"],
        id: ["j:id"],
        repeats: "restamped-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "secret_…, the verification token", where: "Notion sends it once to the URL." },
    setup: [
      "In the integration's settings under Webhooks create a subscription with the URL {receiveUrl}.",
      "Notion posts a verification token: take it over as this webhook's secret, then paste it back at Notion.",
    ],
    handshakes: [
      {
        kind: "capture-secret",
        method: "POST",
        signed: false,
        when: [{ from: "body", name: "verification_token" }],
        secret: { from: "body", name: "verification_token" },
        chars: "token",
        charsMax: 256,
      },
    ],
    ackSecondsMax: null,
    notes: ["Notion tries about eight times in 24 hours."],
  },
  asana: {
    label: "Asana",
    docUrl: "https://developers.asana.com/docs/webhooks-guide",
    schemes: [
      {
        kind: "hmac",
        name: "asana",
        sig: { name: "x-hook-signature" },
        type: ["j:events.*.resource.resource_type+j:events.*.action", "j:events.*.action"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "the X-Hook-Secret", where: "Asana sends it while the webhook is created." },
    setup: [
      "Create the webhook with POST /webhooks of Asana's API, target {receiveUrl}.",
      "Asana sends the secret in a header, which is sent back; take it over as this webhook's secret.",
    ],
    handshakes: [
      {
        kind: "capture-secret",
        method: "POST",
        signed: false,
        when: [{ from: "header", name: "x-hook-secret" }],
        secret: { from: "header", name: "x-hook-secret" },
        echoHeader: "x-hook-secret",
        chars: "token",
        charsMax: 256,
      },
    ],
    ackSecondsMax: 10,
    notes: ["One request may bring several events, or none as a heartbeat."],
  },
  trello: {
    label: "Trello",
    docUrl: "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "trello",
        sig: { name: "x-trello-webhook" },
        alg: "sha1",
        enc: "base64",
        content: "{body}{url}",
        type: ["j:action.type"],
        id: ["j:action.id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the OAuth secret, as shown",
      where: "trello.com/power-ups/admin, the Power-Up, API key, Secret.",
    },
    setup: [
      "Set the Power-Up's secret as this webhook's secret.",
      "Create the webhook with POST /1/webhooks, callbackURL {receiveUrl}, exactly as it stands here: its HEAD request is answered.",
    ],
    handshakes: [{ kind: "ping", method: "HEAD", signed: false, when: [], answer: { status: 200, body: "" } }],
    ackSecondsMax: null,
    notes: ["An answer of 410 deletes the webhook at Trello."],
  },
  /** Pings only: what changed is then polled from the API. */
  airtable: {
    label: "Airtable",
    docUrl: "https://airtable.com/developers/web/api/webhooks-overview",
    schemes: [
      {
        kind: "hmac",
        name: "airtable",
        sig: { name: "x-airtable-content-mac", prefix: "hmac-sha256=" },
        key: { decode: "base64" },
        type: [],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "macSecretBase64, as shown once", where: "The answer that creates the webhook." },
    setup: [
      "Create the webhook by the API with notificationUrl {receiveUrl}.",
      "Set macSecretBase64 of the answer as this webhook's secret.",
    ],
    success: { status: 200, body: "" },
    ackSecondsMax: 25,
    notes: ["A request tells that something changed; read what from the webhook's payloads."],
  },
  figma: {
    label: "Figma",
    docUrl: "https://developers.figma.com/docs/rest-api/webhooks/",
    schemes: [
      {
        kind: "token",
        name: "figma",
        token: { from: "body", name: "passcode" },
        type: ["j:event_type"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: false,
    secret: {
      from: "you",
      form: "any text, up to 100 characters",
      where: "The passcode given when the webhook is created.",
    },
    setup: ["Create the webhook with POST /v2/webhooks, endpoint {receiveUrl} and passcode this webhook's secret."],
    ackSecondsMax: null,
    notes: ["The passcode stands in the body, which is kept and forwarded as it came."],
  },
  typeform: {
    label: "Typeform",
    docUrl: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "typeform",
        sig: { name: "typeform-signature", prefix: "sha256=" },
        enc: "base64",
        type: ["j:event_type"],
        id: ["j:event_id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "The form, Connect, Webhooks, Edit, Secret." },
    setup: [
      "In the form under Connect, Webhooks add {receiveUrl} and switch it on.",
      "Under Edit enter this webhook's secret as secret.",
    ],
    ackSecondsMax: 30,
    notes: ["An answer of 404 or 410 disables the webhook at Typeform."],
  },
  calendly: {
    label: "Calendly",
    docUrl: "https://developer.calendly.com/api-docs/webhook-signatures",
    schemes: [
      {
        kind: "hmac",
        name: "calendly",
        sig: { name: "calendly-webhook-signature", item: ",", kv: "=", key: "v1" },
        content: "{ts}.{body}",
        ts: { from: "sig", name: "t", unit: "s", tol: 180, future: 180 },
        type: ["j:event"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "The signing_key given when the subscription is created." },
    setup: [
      "Create a subscription with POST /webhook_subscriptions, url {receiveUrl} and signing_key this webhook's secret.",
    ],
    ackSecondsMax: 15,
    notes: ["Calendly retries for 24 hours, then disables the subscription."],
  },
  "cal-com": {
    label: "Cal.com",
    docUrl: "https://cal.com/docs/developing/guides/automation/webhooks",
    aliases: ["cal.com"],
    schemes: [
      {
        kind: "hmac",
        name: "cal-com",
        sig: { name: "x-cal-signature-256" },
        type: ["j:triggerEvent"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Settings, Developer, Webhooks, the webhook's Secret." },
    setup: [
      "In the settings under Developer, Webhooks create one with the subscriber URL {receiveUrl}.",
      "Enter this webhook's secret as its secret.",
    ],
    ackSecondsMax: null,
  },
} satisfies Record<string, Preset>;
