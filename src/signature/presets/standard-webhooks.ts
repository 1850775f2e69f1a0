/** Providers that sign as Standard Webhooks does, most of them through Svix. */
import type { Preset } from "../preset.ts";
import type { HmacScheme } from "../scheme.ts";
import { standardWebhooks } from "./generic.ts";

/** Svix's own header names. */
const svix = {
  ...standardWebhooks,
  name: "svix",
  sig: { ...standardWebhooks.sig, name: "svix-signature" },
  content: "{header:svix-id}.{ts}.{body}",
  ts: { ...standardWebhooks.ts, name: "svix-timestamp" },
  key: { decode: "base64", strip: ["whsec_"], bytesMin: 24, bytesMax: 64 },
  id: ["h:svix-id"],
} as const satisfies HmacScheme;

const WHSEC = "whsec_ and base64, as shown";

export const STANDARD_WEBHOOKS = {
  svix: {
    label: "Svix",
    docUrl: "https://docs.svix.com/receiving/verifying-payloads/how",
    schemes: [svix],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "The endpoint's page in the application portal, Signing Secret." },
    setup: [
      "In the sender's application portal add an endpoint with the URL {receiveUrl} and choose its events.",
      "Reveal the endpoint's signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 15,
  },
  clerk: {
    label: "Clerk",
    docUrl: "https://clerk.com/docs/webhooks/overview",
    schemes: [{ ...svix, name: "clerk" }],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "Clerk Dashboard, Webhooks, the endpoint, Signing Secret." },
    setup: [
      "In the Clerk Dashboard under Webhooks add an endpoint with the URL {receiveUrl} and choose its events.",
      "Copy the endpoint's signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 15,
  },
  resend: {
    label: "Resend",
    docUrl: "https://resend.com/docs/dashboard/webhooks/introduction",
    schemes: [{ ...svix, name: "resend" }],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "Resend dashboard, Webhooks, the webhook, Signing Secret." },
    setup: [
      "In the Resend dashboard under Webhooks add {receiveUrl} and choose its events.",
      "Copy the signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 15,
  },
  openai: {
    label: "OpenAI",
    docUrl: "https://platform.openai.com/docs/guides/webhooks",
    schemes: [
      {
        ...standardWebhooks,
        name: "openai",
        key: { decode: "base64", prefix: "whsec_", orText: true, bytesMax: 4_096 },
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: WHSEC,
      where: "Shown once when the webhook is created in the project's settings.",
    },
    setup: [
      "In the project's settings under Webhooks create a webhook with the URL {receiveUrl} and choose its events.",
      "Set the signing secret, which is shown once, as this webhook's secret.",
    ],
    ackSecondsMax: null,
    notes: ["OpenAI retries for up to 72 hours."],
  },
  /** The outer type is always "event"; what happened stands in data. */
  anthropic: {
    label: "Anthropic",
    docUrl: "https://platform.claude.com/docs/managed-agents/webhooks",
    schemes: [
      { ...standardWebhooks, name: "anthropic", type: ["j:data.type", "j:type"], id: ["j:id", "h:webhook-id"] },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "Shown when the endpoint is created in the Console." },
    setup: [
      "In the Console create a webhook endpoint with the URL {receiveUrl} and choose its events.",
      "Set the endpoint's signing secret as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
  /** Auth hooks are signed; database webhooks show a header that their owner configures. */
  supabase: {
    label: "Supabase",
    docUrl: "https://supabase.com/docs/guides/auth/auth-hooks",
    aliases: ["supabase-auth", "supabase-auth-hooks", "supabase-database", "supabase-db-hooks"],
    schemes: [
      { ...standardWebhooks, name: "supabase-auth" },
      {
        kind: "token",
        name: "supabase",
        token: { name: "authorization", prefix: "Bearer " },
        type: ["j:type+j:table"],
        id: [],
        repeats: "none",
      },
    ],
    forms: "preferred",
    bodyAuthenticated: false,
    secret: {
      from: "you",
      form: "for auth hooks v1,whsec_ and base64, as shown; for database webhooks any text",
      where: "Authentication, Hooks, the hook's secret; or a header of the database webhook.",
    },
    setup: [
      "Auth hook: under Authentication, Hooks choose HTTPS, enter {receiveUrl}, generate a secret and set it as this webhook's secret.",
      "Database webhook: under Database, Webhooks enter {receiveUrl} and add the header Authorization with the value Bearer and this webhook's secret.",
    ],
    ackSecondsMax: 5,
    notes: [
      "Only auth hooks authenticate the body; a database webhook shows a token.",
      "Auth hooks that expect an answer with content (such as custom access tokens) cannot be served by a receiver.",
    ],
  },
  /** The key is the secret's text itself, not what its base64 stands for. */
  polar: {
    label: "Polar",
    docUrl: "https://docs.polar.sh/integrate/webhooks/endpoints",
    schemes: [{ ...standardWebhooks, name: "polar", key: { decode: "utf8" } }],
    bodyAuthenticated: true,
    secret: { from: "you", form: "any text", where: "Organization settings, Webhooks, the endpoint's secret." },
    setup: [
      "In the organization's settings under Webhooks add an endpoint with the URL {receiveUrl} and the format Raw.",
      "Set this webhook's secret as the endpoint's secret, or the other way round.",
    ],
    ackSecondsMax: 10,
  },
  /** Replicate's own verifier judges no time. */
  replicate: {
    label: "Replicate",
    docUrl: "https://replicate.com/docs/topics/webhooks/verify-webhook",
    schemes: [
      {
        ...standardWebhooks,
        name: "replicate",
        ts: { ...standardWebhooks.ts, tol: null, future: null },
        type: ["j:status"],
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "GET /v1/webhooks/default/secret of Replicate's API." },
    setup: [
      "Give {receiveUrl} as webhook when you create a prediction or training.",
      "Read the account's signing secret from the API and set it as this webhook's secret.",
    ],
    ackSecondsMax: null,
  },
  liveblocks: {
    label: "Liveblocks",
    docUrl: "https://liveblocks.io/docs/platform/webhooks",
    schemes: [{ ...standardWebhooks, name: "liveblocks" }],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "Project dashboard, Webhooks, the endpoint, Signing secret." },
    setup: [
      "In the project's dashboard under Webhooks create an endpoint with the URL {receiveUrl} and choose its events.",
      "Copy the endpoint's signing secret and set it as this webhook's secret.",
    ],
    ackSecondsMax: 15,
  },
  dodopayments: {
    label: "Dodo Payments",
    docUrl: "https://docs.dodopayments.com/developer-resources/webhooks",
    aliases: ["dodo"],
    schemes: [{ ...standardWebhooks, name: "dodopayments" }],
    bodyAuthenticated: true,
    secret: { from: "provider", form: WHSEC, where: "Dashboard, Settings, Webhooks, the endpoint's secret key." },
    setup: [
      "In the dashboard under Settings, Webhooks add the endpoint {receiveUrl} and choose its events.",
      "Copy its secret key and set it as this webhook's secret.",
    ],
    ackSecondsMax: 15,
  },
} satisfies Record<string, Preset>;
