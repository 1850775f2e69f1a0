/** Handshakes at the port: answered where the webhook's source has them, shown, never recorded or delivered. */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, readAnswer, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { answering, type KeyVendor, startKeyVendor, vendorFile } from "../support/key-vendor.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, type Headers, type Json, refused, seconds } from "./senders.ts";
import { sns, TOPIC } from "./vendor-requests.ts";

let service: TestService;
let destination: Destination;
let vendor: KeyVendor;

beforeAll(async () => {
  [destination, vendor] = await Promise.all([startDestination(), startKeyVendor()]);
  service = await startService({ limits: { traceIntervalMs: 20, traceBatchIntervalMs: 5 }, ...vendor.seams });
});
afterAll(async () => {
  await service?.stop();
  await Promise.all([destination?.close(), vendor?.close()]);
});

const create = (source: string, secret?: string): Promise<CreatedWebhook> =>
  createWebhook(service.api, { source, url: destination.url, ...(secret === undefined ? {} : { secret }) });

async function get({ receiveUrl }: CreatedWebhook, query = "", headers: Headers = {}, method = "GET"): Promise<Answer> {
  return await readAnswer(await fetch(`${receiveUrl}${query}`, { method, headers }));
}

/** Handshakes or rejections of a webhook, once there are any. */
const shown = (what: "handshakes" | "rejections", { id }: CreatedWebhook): Promise<Json[]> =>
  eventually(what, async () => {
    const { items } = (await service.api.get(`/webhooks/${id}/${what}`)).body;
    return items.length > 0 && items;
  });

/** `[status, content type, body]` of an answer, which nobody may take for anything else than it says. */
function plain({ status, headers, body }: Answer): [number, string | null, unknown] {
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  return [status, headers.get("content-type"), body];
}

const TEXT = "text/plain; charset=utf-8";

function slackRequest(secret: string, body: string, timestamp = seconds()): { headers: Headers; body: string } {
  const digest = createHmac("sha256", secret).update(`v0:${timestamp}:${body}`).digest("hex");
  return { body, headers: { "x-slack-request-timestamp": String(timestamp), "x-slack-signature": `v0=${digest}` } };
}

const zoomRequest = (secret: string, body: string) => {
  const { headers } = slackRequest(secret, body);
  const { "x-slack-request-timestamp": time = "", "x-slack-signature": signature = "" } = headers;
  return { body, headers: { "x-zm-request-timestamp": time, "x-zm-signature": signature } };
};

describe("GET and HEAD", () => {
  test("Meta: the challenge, for the verify token alone", async () => {
    const webhook = await create("meta", "app-secret:verify-me");
    const query = (token: string) => `?hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=1158201444`;
    expect(plain(await get(webhook, query("verify-me")))).toEqual([200, TEXT, "1158201444"]);
    expect(refused(await get(webhook, query("verify-you")))).toEqual([403, "FORBIDDEN"]);
    const [handshake] = await shown("handshakes", webhook);
    expect(handshake).toMatchObject({
      webhookId: webhook.id,
      statusCode: 200,
      method: "GET",
      summary: "hub.challenge was sent back",
      remoteAddress: "127.0.0.1",
      count: 0,
    });
    const [rejection] = await shown("rejections", webhook);
    expect(rejection).toMatchObject({ check: "signature", statusCode: 403, method: "GET" });
    expect(JSON.stringify([handshake, rejection])).not.toContain("verify-me");
  });

  test("X: the HMAC of a short token, and of nothing that could be an event", async () => {
    const webhook = await create("x", "consumer-secret");
    const digest = (text: string) => `sha256=${createHmac("sha256", "consumer-secret").update(text).digest("base64")}`;
    expect(plain(await get(webhook, "?crc_token=abc"))).toEqual([
      200,
      "application/json",
      { response_token: digest("abc") },
    ]);
    const event = '{"for_user_id":"1","tweet_create_events":[]}';
    expect(refused(await get(webhook, `?crc_token=${encodeURIComponent(event)}`))).toEqual([400, "BAD_REQUEST"]);
    // What it does sign proves nothing.
    const headers = { "x-twitter-webhooks-signature": digest("abc") };
    expect(refused(await send(webhook.receiveUrl, "abc", headers))).toEqual([401, "UNAUTHORIZED"]);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
    const real = await send(webhook.receiveUrl, event, { "x-twitter-webhooks-signature": digest(event) });
    expect(real.status).toBe(200);
  });

  test("X: the secret in force answers at once after a rotation", async () => {
    const webhook = await create("x", "before");
    const answered = async () => (await get(webhook, "?crc_token=abc")).body.response_token;
    const digest = (secret: string) => `sha256=${createHmac("sha256", secret).update("abc").digest("base64")}`;
    expect(await answered()).toBe(digest("before"));
    const rotation = { secret: "after", gracePeriodSeconds: 60 };
    expect((await service.api.post(`/webhooks/${webhook.id}/rotate`, rotation)).status).toBe(200);
    expect(await answered()).toBe(digest("after"));
  });

  test("Dropbox, Okta and Trello", async () => {
    expect(plain(await get(await create("dropbox"), "?challenge=abc"))).toEqual([200, TEXT, "abc"]);
    const okta = await get(await create("okta"), "", { "x-okta-verification-challenge": "SzRG7d" });
    expect(plain(okta)).toEqual([200, "application/json", { verification: "SzRG7d" }]);
    const trello = await create("trello");
    expect(plain(await get(trello, "", {}, "HEAD"))).toEqual([200, null, ""]);
    expect((await shown("handshakes", trello))[0]).toMatchObject({ method: "HEAD", statusCode: 200 });
  });

  test("of a source that has none: 405, with a trace", async () => {
    const webhook = await create("github");
    const answer = await get(webhook, "?hub.mode=subscribe&hub.challenge=1");
    expect([...refused(answer), answer.headers.get("allow")]).toEqual([405, "METHOD_NOT_ALLOWED", "POST"]);
    expect(await shown("rejections", webhook)).toMatchObject([{ check: "method_not_allowed", method: "GET" }]);
  });

  test("that is not the source's own: 400 that says what is missing", async () => {
    const answer = await get(await create("meta", "a:b"));
    expect(refused(answer)).toEqual([400, "BAD_REQUEST"]);
    expect(answer.body.error.message).toContain("hub.mode");
  });

  test("of a disabled webhook: 403; of one that there is not: 404", async () => {
    const webhook = await create("dropbox");
    await service.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
    expect((await get(webhook, "?challenge=abc")).status).toBe(403);
    await service.api.delete(`/webhooks/${webhook.id}`);
    expect((await get(webhook, "?challenge=abc")).status).toBe(404);
    expect((await get({ ...webhook, receiveUrl: `${service.url}/api/v1/webhooks/receive/none` })).status).toBe(404);
  });
});

describe("POST", () => {
  test("Slack: the challenge, once its signature is verified", async () => {
    const webhook = await create("slack", "signing-secret");
    const body = JSON.stringify({ token: "legacy", challenge: "3eZbrw1aB", type: "url_verification" });
    const post = ({ headers, body }: { headers: Headers; body: string }) => send(webhook.receiveUrl, body, headers);
    expect(plain(await post(slackRequest("signing-secret", body)))).toEqual([200, TEXT, "3eZbrw1aB"]);
    expect((await post(slackRequest("another", body))).status).toBe(401);
    expect((await post({ body, headers: {} })).status).toBe(401);
    expect((await post(slackRequest("signing-secret", body, seconds(400)))).status).toBe(401);
    const bad = slackRequest("signing-secret", JSON.stringify({ type: "url_verification", challenge: "<b>" }));
    expect((await post(bad)).status).toBe(400);
    const [handshake] = await shown("handshakes", webhook);
    expect(handshake.summary).toBe("challenge was sent back");
    expect(JSON.stringify(handshake)).not.toContain("legacy");
  });

  test("Zoom: no token is signed for a request that is not", async () => {
    const webhook = await create("zoom", "secret-token");
    const body = JSON.stringify({
      event: "endpoint.url_validation",
      payload: { plainToken: "qgg8vlvZRS6UYooatFL8Aw" },
    });
    const { headers } = zoomRequest("secret-token", body);
    const encryptedToken = createHmac("sha256", "secret-token").update("qgg8vlvZRS6UYooatFL8Aw").digest("hex");
    const answer = await send(webhook.receiveUrl, body, headers);
    expect(answer.body).toEqual({ plainToken: "qgg8vlvZRS6UYooatFL8Aw", encryptedToken });
    for (const forged of [{}, zoomRequest("guess", body).headers]) {
      const refusal = await send(webhook.receiveUrl, body, forged);
      expect([refusal.status, JSON.stringify(refusal.body)]).toEqual([
        401,
        expect.not.stringContaining(encryptedToken),
      ]);
    }
  });

  test("Discord: both pings, and 401 for a wrong signature", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
    const webhook = await create("discord", key);
    const post = (body: string, signed = body) => {
      const signature = sign(null, Buffer.from(`1700000000${signed}`), privateKey).toString("hex");
      const headers = { "x-signature-ed25519": signature, "x-signature-timestamp": "1700000000" };
      return send(webhook.receiveUrl, body, headers);
    };
    expect(plain(await post('{"type":0}'))).toEqual([204, "application/json", ""]);
    expect(plain(await post('{"type":1,"token":"t"}'))).toEqual([200, "application/json", { type: 1 }]);
    expect((await post('{"type":0}', '{"type":1}')).status).toBe(401);
    const event = await post('{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}');
    expect([event.status, (await eventsOf(service.api, webhook)).length]).toEqual([204, 1]);
  });

  test("Microsoft Graph: the validation token", async () => {
    const webhook = await create("microsoft-graph", "client-state");
    const post = async (query: string) =>
      await readAnswer(await fetch(`${webhook.receiveUrl}${query}`, { method: "POST" }));
    expect(plain(await post("?validationToken=Validation%3a+Testing+1"))).toEqual([200, TEXT, "Validation: Testing 1"]);
    expect((await post(`?validationToken=${"a".repeat(600)}`)).status).toBe(400);
    expect((await post("")).status).toBe(401);
  });

  test("a handshake is neither recorded nor delivered", async () => {
    const webhook = await create("slack", "signing-secret");
    const before = destination.arrivals.length;
    const challenge = JSON.stringify({ challenge: "abc", type: "url_verification" });
    const event = JSON.stringify({ type: "event_callback", event_id: "E1", event: { type: "message" } });
    for (const body of [challenge, event]) {
      const { headers } = slackRequest("signing-secret", body);
      expect((await send(webhook.receiveUrl, body, headers)).status).toBe(200);
    }
    const arrivals = await destination.arrived(before + 1);
    expect(arrivals.at(-1)?.body.toString()).toBe(event);
    expect(await eventsOf(service.api, webhook)).toHaveLength(1);
  });

  test("a flood of what nobody signed leaves a few traces, all of them counted", async () => {
    const webhook = await create("dropbox");
    const requests = 200;
    await Promise.all(Array.from({ length: requests }, () => get(webhook, "?challenge=abc")));
    await eventually("all are counted", async () => {
      const { items } = (await service.api.get(`/webhooks/${webhook.id}/handshakes`)).body;
      const counted = items.reduce((sum: number, { count }: { count: number }) => sum + 1 + count, 0);
      return counted === requests && items.length <= 3;
    });
  });
});

describe("AWS SNS", () => {
  const CONFIRM_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
  const confirmation = (n: number, changes: Readonly<Record<string, string>> = {}) =>
    sns({ Type: "SubscriptionConfirmation", SubscribeURL: `${CONFIRM_URL}${n}`, Token: `t${n}`, ...changes });
  const asked = () => vendor.requests.filter(({ url }) => !url.endsWith(".pem")).map(({ url }) => url);

  /** The certificate for its own URL, and this status for every other. */
  const behave = (status: number) =>
    vendor.behave((request, response) => {
      const isCertificate = request.url.endsWith(".pem");
      answering(isCertificate ? 200 : status, isCertificate ? vendorFile("sns.pem") : "")(request, response);
    });

  test("a subscription is confirmed by fetching its URL, once", async () => {
    behave(200);
    vendor.requests.length = 0;
    const webhook = await create("aws-sns", TOPIC);
    const { body, headers } = confirmation(1);
    for (let n = 0; n < 3; n++) expect((await send(webhook.receiveUrl, body, headers)).status).toBe(200);
    expect(asked()).toEqual([`${CONFIRM_URL}1`]);
    expect((await shown("handshakes", webhook))[0].summary).toMatch(/^SubscribeURL was fetched/);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  });

  test("one whose URL cannot be fetched is left for the next try", async () => {
    behave(403);
    const { body, headers } = confirmation(2);
    const webhook = await create("aws-sns", TOPIC);
    const answer = await send(webhook.receiveUrl, body, headers);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await shown("rejections", webhook)).toMatchObject([{ check: "confirmation", statusCode: 503 }]);
  });

  test.each([
    "https://sns.eu-west-1.amazonaws.com.example.com/?Action=ConfirmSubscription",
    "https://example.com/?https://sns.eu-west-1.amazonaws.com/",
    "http://sns.eu-west-1.amazonaws.com/",
    "https://sns.eu-west-1.amazonaws.com:8443/",
    "https://user@sns.eu-west-1.amazonaws.com/",
    "https://169.254.169.254/",
    "no URL",
  ])("nothing is fetched from %s, signed or not", async (SubscribeURL) => {
    behave(200);
    vendor.requests.length = 0;
    const { body, headers } = confirmation(3, { SubscribeURL });
    const answer = await send((await create("aws-sns", TOPIC)).receiveUrl, body, headers);
    expect([answer.status, asked()]).toEqual([400, []]);
  });

  test("nor for another topic, or what is not signed", async () => {
    behave(200);
    vendor.requests.length = 0;
    const webhook = await create("aws-sns", `${TOPIC}-other`);
    const { body, headers } = confirmation(4);
    expect((await send(webhook.receiveUrl, body, headers)).status).toBe(401);
    const unsigned = JSON.stringify({ ...JSON.parse(body), Signature: undefined });
    expect((await send(webhook.receiveUrl, unsigned, headers)).status).toBe(401);
    expect(asked()).toEqual([]);
  });
});
