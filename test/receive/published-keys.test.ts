/** Keys that vendors publish: fetched from their pinned hosts only, kept, bounded, and never taken for granted. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { send } from "../support/api.ts";
import { answering, type KeyVendor, startKeyVendor, vendorFile } from "../support/key-vendor.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf } from "./senders.ts";
import { certificateUrl, paypal, type Signed, WEBHOOK_ID } from "./vendor-requests.ts";

const HOUR_MS = 3_600_000;
const LIMITS = { publishedKeyTimeoutMs: 300, publishedKeyBytesMax: 32 * 1024 };
const clock = new ManualClock();
let vendor: KeyVendor;
let service: TestService;
let serial = 0;

beforeAll(async () => {
  vendor = await startKeyVendor();
  service = await startService({ clock, limits: LIMITS, ...vendor.seams });
});
afterAll(async () => {
  await service?.stop();
  await vendor?.close();
});
beforeEach(() => {
  vendor.requests.length = 0;
  vendor.behave(answering(200, vendorFile("paypal-chain.pem")));
  // Another minute, with fetches of its own.
  clock.advance(61_000);
});

/** The URL of a certificate that nobody has asked for. */
const freshUrl = () => certificateUrl(`aaaa${String(serial++).padStart(4, "0")}-0000`);
const post = ({ receiveUrl }: CreatedWebhook, { headers, body }: Signed) => send(receiveUrl, body, headers);
const paypalWebhook = () => createWebhook(service.api, { source: "paypal", secret: WEBHOOK_ID });

describe("PayPal's certificate", () => {
  test("is fetched once, from the URL that the request names, and then kept", async () => {
    const webhook = await paypalWebhook();
    const url = freshUrl();
    const first = await post(webhook, paypal(1, url));
    expect([first.status, first.body.duplicate]).toEqual([200, false]);
    for (let event = 2; event < 5; event++) expect((await post(webhook, paypal(event, url))).status).toBe(200);
    expect(vendor.requests).toEqual([{ method: "GET", url, body: "" }]);
    const [event] = await eventsOf(service.api, webhook);
    expect(event).toMatchObject({ verified: true, scheme: "paypal", type: "PAYMENT.SALE.COMPLETED" });
  });

  test("is fetched once for any number of requests at the same time", async () => {
    const webhook = await paypalWebhook();
    const url = freshUrl();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, event) => post(webhook, paypal(event, url))));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(vendor.requests).toHaveLength(1);
  });

  test.each([
    ["one of another name", "other-name-chain.pem"],
    ["one without a chain to a root", "self-signed.pem"],
    ["one that has expired", "expired-chain.pem"],
  ])("%s proves nothing: 401, and it is not fetched again", async (_what, name) => {
    vendor.behave(answering(200, vendorFile(name)));
    const webhook = await paypalWebhook();
    const url = freshUrl();
    for (let event = 0; event < 3; event++) {
      const { status, body } = await post(webhook, paypal(event, url));
      expect(status).toBe(401);
      expect(body.error.message).toMatch(/^paypal-cert-url names no key that its vendor has published/);
    }
    expect(vendor.requests).toHaveLength(1);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  });

  test("one that PayPal does not know is remembered as such for a while", async () => {
    vendor.behave(answering(404));
    const webhook = await paypalWebhook();
    const url = freshUrl();
    for (let event = 0; event < 3; event++) expect((await post(webhook, paypal(event, url))).status).toBe(401);
    expect(vendor.requests).toHaveLength(1);
    vendor.behave(answering(200, vendorFile("paypal-chain.pem")));
    clock.advance(301_000);
    expect((await post(webhook, paypal(1, url))).status).toBe(200);
    expect(vendor.requests).toHaveLength(2);
  });

  test("does not make a signature good", async () => {
    const webhook = await paypalWebhook();
    const url = freshUrl();
    const { headers, body } = paypal(1, url);
    const { status, body: answer } = await post(webhook, { headers, body: `${body} ` });
    expect([status, answer.error.message]).toEqual([401, expect.stringMatching(/^the signature does not match/)]);
    const other = await createWebhook(service.api, { source: "paypal", secret: "0JE4291016473214C" });
    expect((await post(other, { headers, body })).status).toBe(401);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  });

  test.each([
    "http://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594",
    "https://api.paypal.com.example.com/v1/notifications/certs/CERT-360caa42-fca2a594",
    "https://api.paypal.com@example.com/v1/notifications/certs/CERT-360caa42-fca2a594",
    "https://api.paypal.com:8443/v1/notifications/certs/CERT-360caa42-fca2a594",
    "https://api.paypal.com/v1/notifications/certs/../../../evil/CERT-360caa42-fca2a594",
    "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594?x=1",
    "https://169.254.169.254/v1/notifications/certs/CERT-360caa42-fca2a594",
    "file:///etc/passwd",
    "",
  ])("%s is not asked for anything", async (url) => {
    const { status, body } = await post(await paypalWebhook(), paypal(1, url));
    expect([status, body.error.message]).toEqual([401, expect.stringMatching(/^paypal-cert-url is no certificate/)]);
    expect(vendor.requests).toEqual([]);
  });

  test("is not fetched for a request that is refused without it", async () => {
    const webhook = await paypalWebhook();
    for (const changes of [
      { "paypal-transmission-sig": "AAAA" },
      { "paypal-transmission-time": "yesterday" },
      { "paypal-transmission-id": "" },
      { "paypal-auth-algo": "none" },
    ]) {
      expect((await post(webhook, paypal(1, freshUrl(), changes))).status).toBe(401);
    }
    const disabled = await createWebhook(service.api, { source: "paypal", secret: WEBHOOK_ID, status: "disabled" });
    expect((await post(disabled, paypal(1, freshUrl()))).status).toBe(403);
    expect(vendor.requests).toEqual([]);
  });
});

describe("a fetch that fails is a 503, never an accept, and is tried again", () => {
  const hang = () => {};
  test.each<[string, Parameters<KeyVendor["behave"]>[0]]>([
    ["an error of the vendor's", answering(500, vendorFile("paypal-chain.pem"))],
    ["a redirect", (_request, response) => void response.writeHead(302, { location: "https://localhost/" }).end()],
    ["an answer that never comes", hang],
    ["an answer that is too large", answering(200, `${vendorFile("paypal-chain.pem")}${" ".repeat(40_000)}`)],
    ["a connection that breaks", (_request, response) => void response.destroy()],
  ])("%s", async (_what, behaviour) => {
    vendor.behave(behaviour);
    const webhook = await paypalWebhook();
    const url = freshUrl();
    const { status, headers, body } = await post(webhook, paypal(1, url));
    expect([status, body.error.code]).toEqual([503, "SERVICE_UNAVAILABLE"]);
    expect(headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
    vendor.behave(answering(200, vendorFile("paypal-chain.pem")));
    expect((await post(webhook, paypal(1, url))).status).toBe(200);
  });
});

test("made-up keys cause a bounded number of fetches a minute, and touch neither known keys nor other webhooks", async () => {
  const [webhook, other] = await Promise.all([paypalWebhook(), paypalWebhook()]);
  const known = freshUrl();
  expect((await post(webhook, paypal(1, known))).status).toBe(200);
  vendor.behave(answering(404));
  const statuses = [];
  for (let count = 0; count < 30; count++) statuses.push((await post(webhook, paypal(1, freshUrl()))).status);
  expect(statuses.filter((status) => status === 401)).toHaveLength(9);
  expect(statuses.filter((status) => status === 503)).toHaveLength(21);
  expect(vendor.requests).toHaveLength(10);
  expect((await post(webhook, paypal(2, known))).status).toBe(200);
  vendor.behave(answering(200, vendorFile("paypal-chain.pem")));
  expect((await post(other, paypal(1, freshUrl()))).status).toBe(200);
});

test("made-up keys do not keep a known one from being asked for again", async () => {
  const webhook = await paypalWebhook();
  const known = freshUrl();
  expect((await post(webhook, paypal(1, known))).status).toBe(200);
  clock.advance(HOUR_MS);
  vendor.behave(answering(404));
  for (let count = 0; count < 12; count++) await post(webhook, paypal(1, freshUrl()));
  vendor.behave(answering(200, vendorFile("paypal-chain.pem")));
  expect((await post(webhook, paypal(2, known))).status).toBe(200);
  await vendor.asked(12);
});

test("an organization cannot have more of them by having more webhooks", async () => {
  vendor.behave(answering(404));
  let fetched = 0;
  for (let count = 0; count < 7; count++) {
    const webhook = await paypalWebhook();
    for (let key = 0; key < 10; key++) if ((await post(webhook, paypal(1, freshUrl()))).status === 401) fetched++;
  }
  expect([fetched, vendor.requests.length]).toEqual([60, 60]);
  const other = await createWebhook(await service.otherOrganization(), { source: "paypal", secret: WEBHOOK_ID });
  expect((await post(other, paypal(1, freshUrl()))).status).toBe(401);
});

test("a key is asked for again in the background, and counts no longer than it may", async () => {
  const webhook = await paypalWebhook();
  const url = freshUrl();
  await post(webhook, paypal(1, url));
  clock.advance(HOUR_MS);
  expect((await post(webhook, paypal(2, url))).status).toBe(200);
  await vendor.asked(2);
  // In force anew for six hours; a vendor that is down in between does no harm.
  vendor.behave(answering(500));
  clock.advance(5 * HOUR_MS);
  expect((await post(webhook, paypal(3, url))).status).toBe(200);
  await vendor.asked(3);
  clock.advance(2 * HOUR_MS);
  expect((await post(webhook, paypal(4, url))).status).toBe(503);
});
