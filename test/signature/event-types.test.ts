/** Type and id of each source's events. */
import { describe, expect, test } from "vitest";
import { identify } from "../../src/signature/event-identity.ts";
import { findSource } from "../../src/signature/source.ts";
import { type Headers, inbound } from "./inbound-request.ts";

describe("each source names its events as specifically as the provider does", () => {
  test.each<[source: string, headers: Headers, body: string, types: readonly string[], id: string | null]>([
    [
      "gitlab",
      { "x-gitlab-token": "t", "idempotency-key": "k" },
      '{"object_kind":"merge_request","object_attributes":{"action":"open"}}',
      ["merge_request.open"],
      "k",
    ],
    [
      "gitlab",
      { "x-gitlab-token": "t", "x-gitlab-event": "System Hook" },
      '{"event_name":"project_create"}',
      ["project_create"],
      null,
    ],
    [
      "bitbucket",
      { "x-hub-signature": "s", "x-event-key": "repo:push", "x-request-uuid": "u" },
      "{}",
      ["repo:push"],
      "u",
    ],
    ["jira", { "x-hub-signature": "s" }, '{"webhookEvent":"jira:issue_created"}', ["jira:issue_created"], null],
    [
      "linear",
      { "linear-signature": "s", "linear-event": "Issue", "linear-delivery": "d" },
      '{"type":"Issue","action":"update"}',
      ["Issue.update"],
      "d",
    ],
    ["linear", { "linear-signature": "s", "linear-event": "Issue" }, '{"action":"remove"}', ["Issue.remove"], null],
    [
      "slack",
      { "x-slack-signature": "s" },
      '{"type":"event_callback","event":{"type":"app_mention"},"event_id":"Ev1"}',
      ["app_mention"],
      "Ev1",
    ],
    [
      "slack",
      { "x-slack-signature": "s", "content-type": "application/x-www-form-urlencoded" },
      "payload=%7B%22type%22%3A%22block_actions%22%7D",
      ["block_actions"],
      null,
    ],
    [
      "meta",
      { "x-hub-signature-256": "s" },
      '{"object":"page","entry":[{"changes":[{"field":"feed"},{"field":"ratings"}]},{"changes":[{"field":"feed"}]}]}',
      ["page.feed", "page.ratings"],
      null,
    ],
    ["meta", { "x-hub-signature-256": "s" }, '{"object":"page","entry":[{"messaging":[{}]}]}', ["page"], null],
    [
      "x",
      { "x-twitter-webhooks-signature": "s" },
      '{"for_user_id":"1","tweet_create_events":[]}',
      ["tweet_create_events"],
      null,
    ],
    ["x", { "x-twitter-webhooks-signature": "s" }, '{"user_event":{"revoke":{}}}', ["user_event"], null],
    [
      "telegram",
      { "x-telegram-bot-api-secret-token": "t" },
      '{"update_id":7,"edited_message":{}}',
      ["edited_message"],
      "7",
    ],
    ["dropbox", { "x-dropbox-signature": "s" }, '{"list_folder":{},"delta":{}}', ["list_folder"], null],
    [
      "sentry",
      { "sentry-hook-signature": "s", "sentry-hook-resource": "issue", "request-id": "r" },
      '{"action":"created"}',
      ["issue.created"],
      "r",
    ],
    [
      "hubspot",
      { "x-hubspot-signature-v3": "s" },
      '[{"subscriptionType":"contact.creation","eventId":1}]',
      ["contact.creation"],
      "1",
    ],
    [
      "hubspot",
      { "x-hubspot-signature-v3": "s" },
      '[{"subscriptionType":"a","eventId":1},{"subscriptionType":"b","eventId":2},{"subscriptionType":"a"}]',
      ["a", "b"],
      null,
    ],
    [
      "sendgrid",
      { "x-twilio-email-event-webhook-signature": "s" },
      '[{"event":"open","sg_event_id":"e1"},{"event":"click","sg_event_id":"e2"}]',
      ["open", "click"],
      null,
    ],
    [
      "asana",
      { "x-hook-signature": "s" },
      '{"events":[{"action":"changed","resource":{"resource_type":"task"}},{"action":"deleted","resource":{"resource_type":"story"}}]}',
      ["task.changed", "story.deleted"],
      null,
    ],
    [
      "gocardless",
      { "webhook-signature": "s" },
      '{"events":[{"resource_type":"payments","action":"confirmed"}],"meta":{"webhook_id":"WB1"}}',
      ["payments.confirmed"],
      "WB1",
    ],
    [
      "adyen",
      {},
      '{"notificationItems":[{"NotificationRequestItem":{"pspReference":"p","eventCode":"CAPTURE","success":"true","additionalData":{"hmacSignature":"s"}}}]}',
      ["CAPTURE"],
      "p.CAPTURE.true",
    ],
    [
      "adyen",
      {},
      `{"notificationItems":[${Array(2).fill('{"NotificationRequestItem":{"pspReference":"p","eventCode":"CAPTURE","additionalData":{"hmacSignature":"s"}}}').join()}]}`,
      ["CAPTURE"],
      null,
    ],
    ["microsoft-graph", {}, '{"value":[{"clientState":"s","changeType":"created","id":"n"}]}', ["created"], "n"],
    [
      "okta",
      { authorization: "t" },
      '{"eventId":"e","data":{"events":[{"eventType":"user.create"}]}}',
      ["user.create"],
      "e",
    ],
    ["plaid", { "plaid-verification": "j" }, '{"webhook_type":"ITEM","webhook_code":"ERROR"}', ["ITEM.ERROR"], null],
    ["supabase", { authorization: "Bearer t" }, '{"type":"INSERT","table":"users"}', ["INSERT.users"], null],
    [
      "anthropic",
      { "webhook-signature": "s", "webhook-id": "msg" },
      '{"type":"event","id":"evt","data":{"type":"session.idled"}}',
      ["session.idled"],
      "evt",
    ],
    [
      "modern-treasury",
      { "x-signature": "s", "x-topic": "payment_order" },
      '{"event":"created"}',
      ["payment_order.created"],
      null,
    ],
    [
      "shopify",
      { "x-shopify-hmac-sha256": "s", "x-shopify-topic": "orders/create", "x-shopify-webhook-id": "w" },
      "{}",
      ["orders/create"],
      "w",
    ],
    [
      "discord",
      { "x-signature-ed25519": "s" },
      '{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}',
      ["APPLICATION_AUTHORIZED"],
      null,
    ],
    [
      "twilio",
      { "x-twilio-signature": "s", "content-type": "application/json" },
      '[{"type":"com.twilio.a"},{"type":"com.twilio.b"}]',
      ["com.twilio.a", "com.twilio.b"],
      null,
    ],
    ["line", { "x-line-signature": "s" }, '{"events":[]}', [], null],
  ])("%s %j %s", (source, headers, body, types, id) => {
    const identity = identify(findSource(source), inbound(headers, body));
    expect(identity).toMatchObject({ types, id, type: types[0] ?? null });
    if (types.length > 1) expect(identity.repeats).toBe("none");
  });
});
