/** Telephony, mail, meetings and media. */
import type { Preset } from "../preset.ts";

export const COMMUNICATIONS = {
  /** A form is signed field by field, any other body by its hash in the URL. Distinct callbacks may have equal fields. */
  twilio: {
    label: "Twilio",
    docUrl: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
    schemes: [
      {
        kind: "hmac",
        name: "twilio",
        sig: { name: "x-twilio-signature" },
        alg: "sha1",
        enc: "base64",
        content: "{url}{sortedForm}",
        urls: "with-port",
        body: "form",
        type: [],
        id: ["h:i-twilio-idempotency-token"],
        repeats: "unsigned-id-and-body",
      },
      {
        kind: "code",
        name: "twilio-json",
        code: "twilio-json",
        body: "other",
        type: ["j:*.type", "j:type"],
        id: ["h:i-twilio-idempotency-token"],
        repeats: "unsigned-id-and-body",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "the auth token, as shown", where: "Console, Account Info, Auth Token." },
    setup: [
      "Set the account's auth token as this webhook's secret.",
      "Enter {receiveUrl}, exactly as it stands here, as the URL of the number, service or status callback.",
    ],
    success: { status: 200, body: "<Response/>", contentType: "text/xml", forForms: true },
    ackSecondsMax: 15,
    notes: ["Callbacks get an empty TwiML document as answer."],
  },
  sendgrid: {
    label: "SendGrid",
    docUrl:
      "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
    schemes: [
      {
        kind: "public-key",
        name: "sendgrid",
        alg: "ecdsa-sha256",
        sig: { name: "x-twilio-email-event-webhook-signature" },
        enc: "base64",
        content: "{ts}{body}",
        ts: { from: "header", name: "x-twilio-email-event-webhook-timestamp", unit: "s", tol: null, future: null },
        key: { decode: "spki" },
        type: ["j:*.event"],
        id: ["j:*.sg_event_id"],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "known",
      form: "the verification key, base64 (or PEM)",
      where: "Settings, Mail Settings, Event Webhook, Signature Verification.",
    },
    setup: [
      "Under Settings, Mail Settings, Event Webhooks create one with the post URL {receiveUrl}.",
      "Switch the signature on and set the verification key that is shown as this webhook's secret.",
    ],
    ackSecondsMax: null,
    notes: ["One request may bring several events."],
  },
  /** Only time and token are signed: the event itself may be anybody's. */
  mailgun: {
    label: "Mailgun",
    docUrl: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "mailgun",
        sig: { from: "body", name: "signature.signature" },
        content: "{ts}{json:signature.token}",
        ts: { from: "body", name: "signature.timestamp", unit: "s", tol: null, future: null },
        type: ["j:event-data.event"],
        id: ["j:signature.token"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: false,
    secret: {
      from: "provider",
      form: "the HTTP webhook signing key, as shown",
      where: "Account settings, API security, HTTP webhook signing key.",
    },
    setup: [
      "Under Send, Webhooks add {receiveUrl} for the events that you need.",
      "Set the account's HTTP webhook signing key as this webhook's secret.",
    ],
    ackSecondsMax: null,
    notes: ["The signature covers a time and a token, not the event. Mailgun retries for eight hours."],
  },
  postmark: {
    label: "Postmark",
    docUrl: "https://postmarkapp.com/developer/webhooks/webhooks-overview",
    schemes: [
      {
        kind: "basic",
        name: "postmark",
        type: ["j:RecordType"],
        id: ["j:ID", "j:MessageID"],
        repeats: "none",
      },
    ],
    bodyAuthenticated: false,
    secret: { from: "you", form: "user:password", where: "The webhook's Basic auth credentials." },
    setup: [
      "In the message stream under Webhooks add one with the URL {receiveUrl}.",
      "Under Basic auth credentials enter what stands before and after the colon of this webhook's secret.",
    ],
    ackSecondsMax: null,
    notes: ["Postmark signs nothing: it shows user and password."],
  },
  /** The attempt is counted in the body. */
  telnyx: {
    label: "Telnyx",
    docUrl: "https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
    schemes: [
      {
        kind: "public-key",
        name: "telnyx",
        alg: "ed25519",
        sig: { name: "telnyx-signature-ed25519" },
        enc: "base64",
        content: "{ts}|{body}",
        ts: { from: "header", name: "telnyx-timestamp", unit: "s", tol: 300, future: 300 },
        key: { decode: "raw-base64" },
        type: ["j:data.event_type"],
        id: ["j:data.id"],
        repeats: "restamped-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "known",
      form: "the public key, base64 of 32 bytes",
      where: "Mission Control Portal, Keys & Credentials, Public Key.",
    },
    setup: [
      "Set the account's public key as this webhook's secret.",
      "Enter {receiveUrl} as webhook URL of the messaging profile or voice application.",
    ],
    ackSecondsMax: 2,
  },
  zoom: {
    label: "Zoom",
    docUrl: "https://developers.zoom.us/docs/api/webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "zoom",
        sig: { name: "x-zm-signature", prefix: "v0=" },
        content: "v0:{ts}:{body}",
        ts: { from: "header", name: "x-zm-request-timestamp", unit: "s", tol: 300, future: 300 },
        type: ["j:event"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the secret token, as shown",
      where: "App Marketplace, the app, Feature, Token.",
    },
    setup: [
      "Set the app's secret token as this webhook's secret.",
      "Under Feature, Event Subscriptions enter {receiveUrl} and validate it: the challenge is answered here.",
    ],
    handshakes: [
      {
        kind: "hmac-answer",
        method: "POST",
        signed: true,
        when: [{ from: "body", name: "event", equals: "endpoint.url_validation" }],
        token: { from: "body", name: "payload.plainToken" },
        enc: "hex",
        prefix: "",
        digestField: "encryptedToken",
        tokenField: "plainToken",
        chars: "token",
        charsMax: 128,
      },
    ],
    ackSecondsMax: 3,
  },
  livekit: {
    label: "LiveKit",
    docUrl: "https://docs.livekit.io/intro/basics/rooms-participants-tracks/webhooks-events/",
    schemes: [
      {
        kind: "code",
        name: "livekit",
        code: "livekit",
        type: ["j:event"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "<API key>:<API secret>",
      where: "Project settings, Keys; or the server's configuration.",
    },
    setup: [
      "Set API key and API secret, joined by a colon, as this webhook's secret.",
      "In the project's settings under Webhooks (or in the server's configuration) add {receiveUrl} with that API key.",
    ],
    ackSecondsMax: null,
    notes: ["The signature stands in the authorization header, which is neither kept nor forwarded."],
  },
  /** A retry lists the attempts before it in the body. */
  mux: {
    label: "Mux",
    docUrl: "https://www.mux.com/docs/core/verify-webhook-signatures",
    schemes: [
      {
        kind: "hmac",
        name: "mux",
        sig: { name: "mux-signature", item: ",", kv: "=", key: "v1" },
        content: "{ts}.{body}",
        ts: { from: "sig", name: "t", unit: "s", tol: 300, future: null },
        type: ["j:type"],
        id: ["j:id"],
        repeats: "restamped-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the signing secret, as shown",
      where: "Dashboard, Settings, Webhooks, Show signing secret.",
    },
    setup: [
      "In the Dashboard under Settings, Webhooks create one with the URL {receiveUrl}.",
      "Show its signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 5,
  },
  elevenlabs: {
    label: "ElevenLabs",
    docUrl: "https://elevenlabs.io/docs/overview/administration/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "elevenlabs",
        sig: { name: "elevenlabs-signature", item: ",", kv: "=", key: "v0" },
        content: "{ts}.{body}",
        ts: { from: "sig", name: "t", unit: "s", tol: 1_800, future: null },
        type: ["j:type"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the shared secret, as shown once",
      where: "Settings, Webhooks, when the webhook is created.",
    },
    setup: [
      "In the settings under Webhooks create one with the callback URL {receiveUrl}.",
      "Set the shared secret, which is shown once, as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
} satisfies Record<string, Preset>;
