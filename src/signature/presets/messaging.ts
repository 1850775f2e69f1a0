/** Chat and social networks. */
import type { Preset } from "../preset.ts";

export const MESSAGING = {
  /** Commands and interactive payloads are forms, whose answers Slack shows to people. */
  slack: {
    label: "Slack",
    docUrl: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
    schemes: [
      {
        kind: "hmac",
        name: "slack",
        sig: { name: "x-slack-signature", prefix: "v0=" },
        content: "v0:{ts}:{body}",
        ts: { from: "header", name: "x-slack-request-timestamp", unit: "s", tol: 300, future: null },
        type: ["j:event.type", "j:type"],
        id: ["j:event_id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the signing secret, as shown",
      where: "api.slack.com/apps, the app, Basic Information.",
    },
    setup: [
      "Set the app's signing secret as this webhook's secret.",
      "Under Event Subscriptions (or Interactivity, or Slash Commands) enter {receiveUrl}: the challenge is answered here.",
    ],
    handshakes: [
      {
        kind: "echo-json",
        method: "POST",
        signed: true,
        when: [{ from: "body", name: "type", equals: "url_verification" }],
        field: "challenge",
        chars: "token",
        charsMax: 256,
      },
    ],
    success: { status: 200, body: "", forForms: true },
    ackSecondsMax: 3,
    notes: ["Slack retries at once, after one minute and after five."],
  },
  discord: {
    label: "Discord",
    docUrl: "https://docs.discord.com/developers/events/webhook-events",
    schemes: [
      {
        kind: "public-key",
        name: "discord",
        alg: "ed25519",
        sig: { name: "x-signature-ed25519" },
        content: "{ts}{body}",
        ts: { from: "header", name: "x-signature-timestamp", unit: "s", tol: null, future: null },
        key: { decode: "raw-hex" },
        type: ["j:event.type", "j:type"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "known",
      form: "the application's public key, 64 hexadecimal digits",
      where: "Developer Portal, the application, General Information, Public Key.",
    },
    setup: [
      "Set the application's public key as this webhook's secret.",
      "In the Developer Portal under Webhooks enter {receiveUrl} as endpoint and choose the events: the ping is answered here.",
    ],
    handshakes: [
      {
        kind: "ping",
        method: "POST",
        signed: true,
        when: [{ from: "body", name: "type", equals: 0 }],
        answer: { status: 204, contentType: "application/json" },
      },
      // An interaction's ping has a token; an event of the same outer type has none.
      {
        kind: "ping",
        method: "POST",
        signed: true,
        when: [
          { from: "body", name: "type", equals: 1 },
          { from: "body", name: "token" },
        ],
        answer: { status: 200, body: '{"type":1}', contentType: "application/json" },
      },
    ],
    success: { status: 204, contentType: "application/json" },
    ackSecondsMax: 3,
    notes: ["Discord probes the URL with a wrong signature, which must be refused with 401."],
  },
  telegram: {
    label: "Telegram",
    docUrl: "https://core.telegram.org/bots/api#setwebhook",
    schemes: [
      {
        kind: "token",
        name: "telegram",
        token: { name: "x-telegram-bot-api-secret-token" },
        type: ["k:!update_id"],
        id: ["j:update_id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: false,
    secret: { from: "you", form: "1 to 256 letters, digits, _ and -", where: "The secret_token of setWebhook." },
    setup: ["Call setWebhook of the Bot API with url {receiveUrl} and secret_token this webhook's secret."],
    ackSecondsMax: null,
  },
  line: {
    label: "LINE",
    docUrl: "https://developers.line.biz/en/docs/messaging-api/receiving-messages/",
    schemes: [
      {
        kind: "hmac",
        name: "line",
        sig: { name: "x-line-signature" },
        enc: "base64",
        type: ["j:events.*.type"],
        id: ["j:events.*.webhookEventId"],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the channel secret, as shown",
      where: "LINE Developers Console, the channel, Basic settings.",
    },
    setup: [
      "In the LINE Developers Console under Messaging API enter the webhook URL {receiveUrl} and switch Use webhook on.",
      "Set the channel secret as this webhook's secret.",
    ],
    ackSecondsMax: 2,
    notes: ["One request may bring several events, or none when the URL is verified."],
  },
  meta: {
    label: "Meta (Facebook, Instagram, WhatsApp)",
    docUrl: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    aliases: ["facebook", "instagram", "messenger", "whatsapp", "meta-whatsapp"],
    schemes: [
      {
        kind: "hmac",
        name: "meta",
        sig: { name: "x-hub-signature-256", prefix: "sha256=" },
        key: {
          decode: "utf8",
          parts: [
            { name: "app secret", use: "key" },
            { name: "verify token", use: "verify-token", optional: true },
          ],
        },
        type: ["j:object+j:entry.*.changes.*.field"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "<app secret>:<verify token>, the verify token any text of your choice",
      where: "App Dashboard, App settings, Basic, App secret.",
    },
    setup: [
      "Set the app secret and a verify token of your choice, joined by a colon, as this webhook's secret.",
      "In the App Dashboard under Webhooks (or WhatsApp, Configuration) enter the callback URL {receiveUrl} and the verify token.",
      "Subscribe to the fields that you need.",
    ],
    handshakes: [
      {
        kind: "echo-query",
        method: "GET",
        signed: false,
        when: [{ from: "query", name: "hub.mode", equals: "subscribe" }],
        parameter: "hub.challenge",
        verifyTokenParameter: "hub.verify_token",
        chars: "token",
        charsMax: 256,
      },
    ],
    ackSecondsMax: 20,
    notes: ["Meta retries for up to 36 hours, WhatsApp for seven days."],
  },
  /** The CRC signs what its caller sends with the key of the events: only short tokens are answered. */
  x: {
    label: "X",
    docUrl: "https://docs.x.com/x-api/webhooks/quickstart",
    aliases: ["twitter", "x-twitter"],
    schemes: [
      {
        kind: "hmac",
        name: "x",
        sig: { name: "x-twitter-webhooks-signature", prefix: "sha256=" },
        enc: "base64",
        type: ["k:*_events", "k:user_event"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the consumer secret, as shown",
      where: "Developer Console, the app, Keys and tokens.",
    },
    setup: [
      "Set the app's consumer secret (API key secret) as this webhook's secret.",
      "Register {receiveUrl} with POST /2/webhooks: the CRC is answered here, then and every hour.",
    ],
    handshakes: [
      {
        kind: "hmac-answer",
        method: "GET",
        signed: false,
        when: [{ from: "query", name: "crc_token" }],
        token: { from: "query", name: "crc_token" },
        enc: "base64",
        prefix: "sha256=",
        digestField: "response_token",
        chars: "token",
        charsMax: 128,
      },
    ],
    ackSecondsMax: 10,
  },
  /** Teams shows the answer to people. */
  "microsoft-teams": {
    label: "Microsoft Teams, outgoing webhook",
    docUrl: "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook",
    aliases: ["teams", "teams-outgoing", "msteams"],
    schemes: [
      {
        kind: "hmac",
        name: "microsoft-teams",
        sig: { name: "authorization", prefix: "HMAC " },
        enc: "base64",
        key: { decode: "base64" },
        type: ["j:type"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the security token, base64",
      where: "Shown once when the outgoing webhook is created.",
    },
    setup: [
      "In the team under Manage team, Apps create an outgoing webhook with the callback URL {receiveUrl}.",
      "Set the security token, which is shown once, as this webhook's secret.",
    ],
    success: { status: 200, body: '{"type":"message","text":"Received."}', contentType: "application/json" },
    ackSecondsMax: 5,
    notes: ["The signature stands in the authorization header, which is neither kept nor forwarded."],
  },
} satisfies Record<string, Preset>;
