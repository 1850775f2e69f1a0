/** Code hosting, issue trackers and continuous integration. */
import type { Preset } from "../preset.ts";
import { standardWebhooks } from "./generic.ts";

const GITLAB_TYPE = ["j:object_kind+j:object_attributes.action", "j:event_name", "h:x-gitlab-event"];

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
      "In the repository's or organization's settings under Webhooks add a webhook with the payload URL {receiveUrl}.",
      "Paste this webhook's secret into Secret; either content type works.",
      "Choose the events to send.",
    ],
    ackSecondsMax: 10,
    notes: ["GitHub does not retry by itself: a failed delivery is redelivered by hand or through its API."],
  },
  /** The signing token where there is one; the older secret token is shown as it is. */
  gitlab: {
    label: "GitLab",
    docUrl: "https://docs.gitlab.com/user/project/integrations/webhooks/",
    schemes: [
      { ...standardWebhooks, name: "gitlab-signing", type: GITLAB_TYPE },
      {
        kind: "token",
        name: "gitlab",
        token: { name: "x-gitlab-token" },
        type: GITLAB_TYPE,
        id: ["h:idempotency-key"],
        repeats: "signed-id",
      },
    ],
    forms: "preferred",
    bodyAuthenticated: false,
    secret: {
      from: "you",
      form: "whsec_ and base64 of 24 to 64 bytes as signing token; any text as secret token",
      where: "Settings, Webhooks, the webhook's signing token or Secret token.",
    },
    setup: [
      "In the project's or group's settings under Webhooks add a webhook with the URL {receiveUrl}.",
      "Use this webhook's secret as its signing token, or on versions without one as Secret token.",
      "Choose the triggers.",
    ],
    ackSecondsMax: 10,
    notes: [
      "Only the signing token authenticates the body; the secret token is shown in a header.",
      "GitLab disables a webhook that keeps failing.",
    ],
  },
  bitbucket: {
    label: "Bitbucket",
    docUrl: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "bitbucket",
        sig: { name: "x-hub-signature", prefix: "sha256=" },
        type: ["h:x-event-key"],
        id: ["h:x-request-uuid"],
        repeats: "unsigned-id-and-type",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Repository settings, Webhooks, the webhook's Secret." },
    setup: [
      "In the repository's settings under Webhooks add a webhook with the URL {receiveUrl}.",
      "Paste this webhook's secret into Secret and choose the triggers.",
    ],
    ackSecondsMax: 10,
  },
  jira: {
    label: "Jira",
    docUrl: "https://developer.atlassian.com/cloud/jira/platform/webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "jira",
        sig: { name: "x-hub-signature", prefix: "sha256=" },
        type: ["j:webhookEvent"],
        id: ["h:x-atlassian-webhook-identifier"],
        repeats: "unsigned-id",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "you",
      form: "any text",
      where: "System settings, WebHooks, the webhook's Secret; it cannot be read back.",
    },
    setup: [
      "In the system settings under WebHooks create a webhook with the URL {receiveUrl}.",
      "Enter this webhook's secret as its secret and choose the events.",
    ],
    ackSecondsMax: null,
    notes: ["Webhooks of Connect and OAuth apps are signed with JWTs, which this source does not take."],
  },
  /** The time stands in the body and is made anew for each try; the delivery's id is a header, which is not signed. */
  linear: {
    label: "Linear",
    docUrl: "https://linear.app/developers/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "linear",
        sig: { name: "linear-signature" },
        ts: { from: "body", name: "webhookTimestamp", unit: "ms", tol: 60, future: 60, json: "number" },
        type: ["j:type+j:action", "h:linear-event+j:action"],
        id: ["h:linear-delivery"],
        repeats: "unsigned-id",
        headers: { "user-agent": "Linear-Webhook" },
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "lin_wh_…, as shown",
      where: "Settings, API, Webhooks, the webhook's signing secret.",
    },
    setup: [
      "In the workspace's settings under API, Webhooks add a webhook with the URL {receiveUrl} and choose its resources.",
      "Copy the signing secret and set it as this webhook's secret.",
    ],
    success: { status: 200 },
    ackSecondsMax: 5,
    notes: [
      "Instead of the receiveUrl of each, all webhooks of this source may share POST /api/v1/webhooks/linear of this service: a request belongs to the webhook whose secret signed it.",
      "Linear retries after one minute, one hour and six hours, and may then disable the webhook.",
    ],
  },
  circleci: {
    label: "CircleCI",
    docUrl: "https://circleci.com/docs/guides/integration/outbound-webhooks/",
    schemes: [
      {
        kind: "hmac",
        name: "circleci",
        sig: { name: "circleci-signature", item: ",", kv: "=", key: "v1" },
        type: ["j:type", "h:circleci-event-type"],
        id: ["j:id"],
        repeats: "signed-id",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Project settings, Webhooks, Secret token." },
    setup: [
      "In the project's settings under Webhooks add a webhook with the receiver URL {receiveUrl}.",
      "Paste this webhook's secret into Secret token and choose the events.",
    ],
    ackSecondsMax: 10,
  },
  /** Signed where the signature is chosen at Buildkite; otherwise the token is shown as it is. */
  buildkite: {
    label: "Buildkite",
    docUrl: "https://buildkite.com/docs/apis/webhooks/pipelines",
    schemes: [
      {
        kind: "hmac",
        name: "buildkite",
        sig: { name: "x-buildkite-signature", item: ",", kv: "=", key: "signature" },
        content: "{ts}.{body}",
        ts: { from: "sig", name: "timestamp", unit: "s", tol: 300, future: 300 },
        type: ["j:event", "h:x-buildkite-event"],
        id: [],
        repeats: "none",
      },
      {
        kind: "token",
        name: "buildkite-token",
        token: { name: "x-buildkite-token" },
        type: ["j:event", "h:x-buildkite-event"],
        id: [],
        repeats: "none",
      },
    ],
    forms: "preferred",
    bodyAuthenticated: false,
    secret: { from: "provider", form: "the token, as shown", where: "Notification services, the webhook, Token." },
    setup: [
      "Under Settings, Notification Services add a webhook with the URL {receiveUrl}.",
      "Choose to send an HMAC signature rather than the token, and set the token as this webhook's secret.",
    ],
    ackSecondsMax: null,
    notes: ["Where Buildkite sends the token rather than a signature, the body is not authenticated."],
  },
} satisfies Record<string, Preset>;
