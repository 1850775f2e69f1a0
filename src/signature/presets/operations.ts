/** Hosting, monitoring, identity and cloud services. */
import type { Preset } from "../preset.ts";

export const OPERATIONS = {
  sentry: {
    label: "Sentry",
    docUrl: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "sentry",
        sig: { name: "sentry-hook-signature" },
        type: ["h:sentry-hook-resource+j:action"],
        id: ["h:request-id"],
        repeats: "unsigned-id-and-type",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the client secret, as shown",
      where: "Settings, Custom Integrations, the integration.",
    },
    setup: [
      "Under Settings, Custom Integrations create an internal integration with the webhook URL {receiveUrl}.",
      "Choose its permissions and webhooks, and set its client secret as this webhook's secret.",
    ],
    ackSecondsMax: 1,
    notes: ["A thousand time-outs in a day end the subscription."],
  },
  vercel: {
    label: "Vercel",
    docUrl: "https://vercel.com/docs/webhooks/webhooks-api",
    schemes: [
      {
        kind: "hmac",
        name: "vercel",
        sig: { name: "x-vercel-signature" },
        alg: "sha1",
        type: ["j:type"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the secret, as shown once",
      where: "Team settings, Webhooks, when the webhook is created.",
    },
    setup: [
      "In the team's settings under Webhooks create a webhook with the endpoint URL {receiveUrl}.",
      "Set the secret, which is shown once, as this webhook's secret.",
    ],
    ackSecondsMax: 30,
  },
  pagerduty: {
    label: "PagerDuty",
    docUrl: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
    schemes: [
      {
        kind: "hmac",
        name: "pagerduty",
        sig: { name: "x-pagerduty-signature", item: ",", kv: "=", key: "v1" },
        type: ["j:event.event_type"],
        id: ["j:event.id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the signing secret, as shown once",
      where: "When the V3 subscription is created.",
    },
    setup: [
      "Under Integrations, Generic Webhooks (v3) add a webhook with the URL {receiveUrl} and choose its events.",
      "Set the signing secret, which is shown once, as this webhook's secret.",
    ],
    ackSecondsMax: 5,
  },
  /** The configured header is shown as it is. */
  okta: {
    label: "Okta",
    docUrl: "https://developer.okta.com/docs/concepts/event-hooks/",
    schemes: [
      {
        kind: "token",
        name: "okta",
        token: { name: "authorization" },
        type: ["j:data.events.*.eventType"],
        id: ["j:eventId"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: false,
    secret: {
      from: "you",
      form: "the whole value of the header",
      where: "Workflow, Event Hooks, Authentication secret.",
    },
    setup: [
      "Under Workflow, Event Hooks create a hook with the URL {receiveUrl}.",
      "Enter Authorization as authentication field and this webhook's secret as authentication secret.",
      "Verify the hook: the challenge is answered here.",
    ],
    handshakes: [
      {
        kind: "echo-header",
        method: "GET",
        signed: false,
        when: [{ from: "header", name: "x-okta-verification-challenge" }],
        header: "x-okta-verification-challenge",
        answerField: "verification",
        chars: "token",
        charsMax: 256,
      },
    ],
    ackSecondsMax: 3,
    notes: ["One request may bring several events."],
  },
  /** The list stands with a blank after each comma, the time in milliseconds. */
  workos: {
    label: "WorkOS",
    docUrl: "https://workos.com/docs/events/data-syncing/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "workos",
        sig: { name: "workos-signature", item: ",", kv: "=", key: "v1" },
        content: "{ts}.{body}",
        ts: { from: "sig", name: "t", unit: "ms", tol: 180, future: null },
        type: ["j:event"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "the secret, as shown", where: "Dashboard, Webhooks, the endpoint's Secret." },
    setup: [
      "In the Dashboard under Webhooks create an endpoint with the URL {receiveUrl} and choose its events.",
      "Copy its secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
  /** Signed are the fields that make the message, not its attributes. */
  "aws-sns": {
    label: "AWS SNS",
    docUrl: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
    aliases: ["sns", "amazon-sns"],
    schemes: [
      {
        kind: "code",
        name: "aws-sns",
        code: "aws-sns",
        type: ["j:Type"],
        id: ["j:MessageId"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "known",
      form: "the topic's ARN, arn:aws:sns:<region>:<account>:<topic>",
      where: "SNS console, Topics.",
    },
    setup: [
      "Set the topic's ARN as this webhook's secret.",
      "In the SNS console create a subscription of the topic, protocol HTTPS, with the endpoint {receiveUrl}; leave raw message delivery off.",
      "The subscription confirms itself.",
    ],
    handshakes: [
      {
        kind: "confirm-url",
        method: "POST",
        signed: true,
        when: [{ from: "body", name: "Type", equals: "SubscriptionConfirmation" }],
        field: "SubscribeURL",
        host: /^sns\.[a-z0-9-]{3,32}\.amazonaws\.com(?:\.cn)?$/,
      },
    ],
    ackSecondsMax: 15,
    notes: [
      "Message attributes and the unsubscribe URL are not signed.",
      "The signing certificate is fetched from the SNS host of the topic's region.",
    ],
  },
} satisfies Record<string, Preset>;
