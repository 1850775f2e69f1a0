/** Customers, content, and Microsoft's change notifications. */
import type { Preset } from "../preset.ts";

export const CUSTOMERS = {
  /** Version 3 where it is there; the older ones, which say no time, only without it. */
  hubspot: {
    label: "HubSpot",
    docUrl: "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
    schemes: [
      {
        kind: "hmac",
        name: "hubspot",
        sig: { name: "x-hubspot-signature-v3" },
        enc: "base64",
        content: "{method}{url}{body}{ts}",
        urls: "hubspot",
        ts: { from: "header", name: "x-hubspot-request-timestamp", unit: "ms", tol: 300, future: 300 },
        type: ["j:*.subscriptionType", "j:subscriptionType"],
        id: ["j:*.eventId"],
        repeats: "none",
      },
      {
        kind: "code",
        name: "hubspot-v1-v2",
        code: "hubspot-v1-v2",
        type: ["j:*.subscriptionType", "j:subscriptionType"],
        id: ["j:*.eventId"],
        repeats: "none",
      },
    ],
    forms: "preferred",
    bodyAuthenticated: true,
    secret: { from: "provider", form: "the app's client secret, as shown", where: "Developer account, the app, Auth." },
    setup: [
      "Set the app's client secret as this webhook's secret.",
      "Under Webhooks of the app enter {receiveUrl}, exactly as it stands here, as target URL and add subscriptions.",
    ],
    ackSecondsMax: 5,
    notes: [
      "One request may bring several events.",
      "Signatures of versions 1 and 2, taken where version 3 is missing, say no time: they can be replayed.",
    ],
  },
  zendesk: {
    label: "Zendesk",
    docUrl: "https://developer.zendesk.com/documentation/webhooks/verifying/",
    schemes: [
      {
        kind: "hmac",
        name: "zendesk",
        sig: { name: "x-zendesk-webhook-signature" },
        enc: "base64",
        content: "{ts}{body}",
        ts: { from: "header", name: "x-zendesk-webhook-signature-timestamp", unit: "iso", tol: null, future: null },
        type: ["j:type"],
        id: ["h:x-zendesk-webhook-invocation-id"],
        repeats: "unsigned-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the signing secret, as shown",
      where: "Admin Center, Apps and integrations, Webhooks, the webhook.",
    },
    setup: [
      "In the Admin Center under Apps and integrations, Webhooks create one with the endpoint URL {receiveUrl}, method POST, format JSON.",
      "Reveal its signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 12,
  },
  /** A retry counts its attempt in the body. */
  intercom: {
    label: "Intercom",
    docUrl: "https://developers.intercom.com/docs/webhooks/webhook-notifications",
    schemes: [
      {
        kind: "hmac",
        name: "intercom",
        sig: { name: "x-hub-signature", prefix: "sha1=" },
        alg: "sha1",
        type: ["j:topic"],
        id: ["j:id"],
        repeats: "restamped-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the app's client secret, as shown",
      where: "Developer Hub, the app, Basic information.",
    },
    setup: [
      "Set the app's client secret as this webhook's secret.",
      "In the Developer Hub under Webhooks enter the endpoint URL {receiveUrl} and choose the topics.",
    ],
    ackSecondsMax: 5,
    notes: ["An answer of 410 disables the subscription at Intercom."],
  },
  contentful: {
    label: "Contentful",
    docUrl: "https://www.contentful.com/developers/docs/webhooks/request-verification/",
    schemes: [
      {
        kind: "code",
        name: "contentful",
        code: "contentful",
        type: ["h:x-contentful-topic"],
        id: ["h:x-contentful-idempotency-key"],
        repeats: "unsigned-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "64 characters", where: "Space settings, Webhooks, Settings, Request verification." },
    setup: [
      "In the space's settings under Webhooks, Settings switch request verification on with this webhook's secret.",
      "Add a webhook with the URL {receiveUrl}, method POST, and choose its triggers.",
    ],
    ackSecondsMax: 30,
    notes: ["A request may be 30 seconds old at most: keep this machine's clock right."],
  },
  sanity: {
    label: "Sanity",
    docUrl: "https://www.sanity.io/docs/content-lake/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "sanity",
        sig: { name: "sanity-webhook-signature", item: ",", kv: "=", key: "v1" },
        enc: "base64url",
        content: "{ts}.{body}",
        ts: { from: "sig", name: "t", unit: "ms", tol: null, future: null },
        type: [],
        id: ["h:idempotency-key"],
        repeats: "unsigned-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Project, API, GROQ-powered webhooks, the webhook's Secret." },
    setup: [
      "In the project's settings under API, Webhooks create one with the URL {receiveUrl}, method POST.",
      "Paste this webhook's secret into Secret.",
    ],
    ackSecondsMax: 30,
  },
  /** Every item shows the state of its subscription; nothing is signed. */
  "microsoft-graph": {
    label: "Microsoft Graph",
    docUrl: "https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
    aliases: ["graph", "ms-graph"],
    schemes: [
      {
        kind: "code",
        name: "microsoft-graph",
        code: "microsoft-graph",
        type: ["j:value.*.changeType", "j:value.*.lifecycleEvent"],
        id: ["j:value.*.id"],
        repeats: "none",
      },
    ],
    bodyAuthenticated: false,
    secret: {
      from: "you",
      form: "<client state>, or <client state>:<application id>:<tenant id> to judge the tokens of rich notifications",
      where: "The clientState of the subscription.",
    },
    setup: [
      "Create the subscription with notificationUrl {receiveUrl} and clientState this webhook's secret: the validation token is answered here.",
      "For notifications with resource data set client state, application id and tenant id, joined by colons, as this webhook's secret.",
    ],
    handshakes: [
      {
        kind: "echo-query",
        method: "POST",
        signed: false,
        when: [{ from: "query", name: "validationToken" }],
        parameter: "validationToken",
        chars: "text",
        charsMax: 512,
      },
    ],
    success: { status: 202 },
    ackSecondsMax: 3,
    notes: [
      "One request may bring several notifications.",
      "The client state stands in the body, which is kept and forwarded as it came.",
    ],
  },
} satisfies Record<string, Preset>;
