/** The providers of the catalogue, by the name of their source or a second name. */
export const CATALOGUE: readonly string[] = [
  ..."standard-webhooks standardwebhooks-v1a svix clerk resend openai anthropic polar replicate liveblocks dodo".split(
    " ",
  ),
  ..."gitlab supabase supabase-auth-hooks supabase-db-hooks stripe github bitbucket jira linear slack shopify".split(
    " ",
  ),
  ..."twilio sendgrid discord paypal square adyen adyen-platform zoom meta whatsapp x twitter hubspot mailgun".split(
    " ",
  ),
  ..."zendesk intercom calendly typeform notion asana trello pagerduty sentry vercel paddle lemon-squeezy okta".split(
    " ",
  ),
  ..."microsoft-graph microsoft-teams teams-outgoing dropbox telegram workos plaid razorpay cal-com cal.com".split(" "),
  ..."airtable figma contentful postmark docusign box circleci buildkite mux elevenlabs sanity telnyx line".split(" "),
  ..."gocardless easypost coinbase-commerce modern-treasury livekit aws-sns custom".split(" "),
];
