/** What AWS SNS, Plaid and Microsoft publish: fetched as each of them tells it, and judged. */
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorSummary } from "../../src/observe/logger.ts";
import { send } from "../support/api.ts";
import { answering, type KeyVendor, startKeyVendor, vendorFile } from "../support/key-vendor.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook } from "./senders.ts";
import {
  APPLICATION,
  certificateUrl,
  GRAPH_JWK,
  graph,
  PLAID_JWK,
  PLAID_KEY_ID,
  paypal,
  plaid,
  type Signed,
  SNS_CERTIFICATE,
  sns,
  TENANT,
  TOPIC,
  WEBHOOK_ID,
} from "./vendor-requests.ts";

const clock = new ManualClock();
const lines: string[] = [];
let vendor: KeyVendor;
let service: TestService;
let serial = 0;

beforeAll(async () => {
  vendor = await startKeyVendor();
  const logger = pino(
    { level: "debug", serializers: { err: errorSummary } },
    { write: (line: string) => lines.push(line) },
  );
  service = await startService({ clock, logger, ...vendor.seams });
});
afterAll(async () => {
  await service?.stop();
  await vendor?.close();
});
beforeEach(() => {
  vendor.requests.length = 0;
});

const post = ({ receiveUrl }: CreatedWebhook, { headers, body }: Signed) => send(receiveUrl, body, headers);

describe("AWS SNS", () => {
  const webhook = () => createWebhook(service.api, { source: "aws-sns", secret: TOPIC });

  test("takes what its topic's region signed", async () => {
    vendor.behave(answering(200, vendorFile("sns.pem")));
    const hook = await webhook();
    expect((await post(hook, sns())).body).toMatchObject({ received: true, duplicate: false });
    expect((await post(hook, sns())).body).toMatchObject({ received: true, duplicate: true });
    expect(vendor.requests).toEqual([{ method: "GET", url: SNS_CERTIFICATE, body: "" }]);
  });

  test.each<[string, Readonly<Record<string, string>>, RegExp]>([
    ["another topic", { TopicArn: `${TOPIC}2` }, /^TopicArn is not the topic/],
    [
      "another region's host",
      { SigningCertURL: SNS_CERTIFICATE.replace("eu-west-1", "us-east-1") },
      /^SigningCertURL is no/,
    ],
    [
      "a look-alike host",
      { SigningCertURL: SNS_CERTIFICATE.replace(".com/", ".com.example.com/") },
      /^SigningCertURL is no/,
    ],
    ["a user in front of the host", { SigningCertURL: SNS_CERTIFICATE.replace("//", "//a@") }, /^SigningCertURL is no/],
    ["another file", { SigningCertURL: SNS_CERTIFICATE.replace(".pem", ".txt") }, /^SigningCertURL is no/],
    ["another version", { SignatureVersion: "3" }, /^SignatureVersion must be/],
  ])("refuses %s without a fetch", async (_what, changes, reason) => {
    const { status, body } = await post(await webhook(), sns(changes));
    expect([status, body.error.message]).toEqual([401, expect.stringMatching(reason)]);
    expect(vendor.requests).toEqual([]);
  });
});

describe("Plaid", () => {
  const secret = "sandbox:client0123:secret0123";
  const key = JSON.stringify({ key: PLAID_JWK, request_id: "r" });
  const webhook = () => createWebhook(service.api, { source: "plaid", secret });

  test("tells its key for the credentials in the secret, which no log holds", async () => {
    vendor.behave(answering(200, key));
    const hook = await webhook();
    expect((await post(hook, plaid(clock.now()))).status).toBe(200);
    const [request] = vendor.requests;
    expect(request?.url).toBe("https://sandbox.plaid.com/webhook_verification_key/get");
    expect(JSON.parse(request?.body ?? "")).toEqual({
      client_id: "client0123",
      secret: "secret0123",
      key_id: PLAID_KEY_ID,
    });
    const other = await createWebhook(service.api, { source: "plaid", secret: "sandbox:client0123:another" });
    vendor.behave(answering(400, '{"error_code":"INVALID_API_KEYS"}'));
    expect((await post(other, plaid(clock.now()))).status).toBe(401);
    vendor.behave(answering(503));
    expect(
      (
        await post(
          await createWebhook(service.api, { source: "plaid", secret: "sandbox:c:s3cr3t" }),
          plaid(clock.now()),
        )
      ).status,
    ).toBe(503);
    for (const hidden of ["secret0123", "s3cr3t", "another"]) expect(lines.join("")).not.toContain(hidden);
    expect(lines.join("")).toContain("sandbox.plaid.com");
  });

  test("a key that has expired, or is another than was asked for, is none", async () => {
    for (const changes of [
      { expired_at: Math.floor(clock.now() / 1000) - 1 },
      { kid: "another-key-id" },
      { crv: "P-384" },
    ]) {
      const kid = `aaaa-${serial++}-0000`;
      vendor.behave(answering(200, JSON.stringify({ key: { ...PLAID_JWK, kid, ...changes } })));
      expect((await post(await webhook(), plaid(clock.now(), kid))).status).toBe(401);
    }
  });

  test("a stale request causes no fetch", async () => {
    expect((await post(await webhook(), plaid(clock.now() - 302_000, "stale-key-id"))).status).toBe(401);
    expect(vendor.requests).toEqual([]);
  });
});

describe("Microsoft Graph's rich notifications", () => {
  const secret = `state:${APPLICATION}:${TENANT}`;
  const webhook = (text = secret) => createWebhook(service.api, { source: "microsoft-graph", secret: text });

  test("are judged by the published key set", async () => {
    vendor.behave(answering(200, JSON.stringify({ keys: [{ kty: "RSA", kid: "other" }, GRAPH_JWK] })));
    const hook = await webhook();
    expect((await post(hook, graph(clock.now(), "state"))).status).toBe(202);
    expect(vendor.requests.map(({ url }) => url)).toEqual([
      "https://login.microsoftonline.com/common/discovery/v2.0/keys",
    ]);
    for (const [changes, reason] of [
      [{ aud: "another" }, /another application or tenant/],
      [{ iss: "https://sts.windows.net/another/" }, /another application or tenant/],
      [{ azp: "another" }, /not Graph's/],
      [{ exp: Math.floor(clock.now() / 1000) - 301 }, /expired 301 s ago/],
    ] as const) {
      const { status, body } = await post(hook, graph(clock.now(), "state", changes));
      expect([status, body.error.message]).toEqual([401, expect.stringMatching(reason)]);
    }
    const { body: unsigned } = graph(clock.now(), "state");
    const stripped = JSON.stringify({ ...JSON.parse(unsigned), validationTokens: [] });
    expect((await post(hook, { headers: {}, body: stripped })).status).toBe(401);
  });

  test("whoever does not know the client state causes no fetch", async () => {
    expect((await post(await webhook(), graph(clock.now(), "guess", {}, "made-up-key"))).status).toBe(401);
    expect(vendor.requests).toEqual([]);
  });

  test("are taken on the client state alone where the secret names no application", async () => {
    expect((await post(await webhook("state"), graph(clock.now(), "state", {}, "made-up-key"))).status).toBe(202);
    expect(vendor.requests).toEqual([]);
  });
});

test("a captured request is judged with a fetched key too", async () => {
  vendor.behave(answering(200, vendorFile("paypal-chain.pem")));
  const { headers, body: payload } = paypal(1, certificateUrl("0123abcd"));
  const { body } = await service.api.post("/webhooks/verify", {
    source: "paypal",
    secret: WEBHOOK_ID,
    headers,
    payload,
  });
  expect(body).toEqual({
    valid: true,
    scheme: "paypal",
    reason: null,
    eventType: "PAYMENT.SALE.COMPLETED",
    eventId: "WH-1",
  });
});
