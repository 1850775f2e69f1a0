/**
 * Webhooks that say themselves how they verify: what node:crypto signs by their description is taken, what differs from
 * it in anything that the description covers is refused.
 */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, type Headers, type Json, readEvent, receiveUrlAt } from "./senders.ts";

const PUBLIC_URL = "https://hooks.example.com";
const BODY = '{"id":"e-1","kind":"order.paid","meta":{"note":"Zażółć"}}';

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService({ env: { PUBLIC_URL } }), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

const post = (webhook: CreatedWebhook, body: string, headers: Headers): Promise<Answer> =>
  send(receiveUrlAt(service.url, webhook), body, headers);

const mac = (content: string, key: string | Buffer = "s3cret", algorithm = "sha256") =>
  createHmac(algorithm, key).update(content).digest();

const now = () => Math.floor(Date.now() / 1_000);

/** What the sender makes of a body: what it sends, and in which headers. */
type Sender = (body: string, url: string) => { readonly headers: Headers; readonly body?: string };

const signed: [name: string, verification: object, secret: string, sender: Sender][] = [
  [
    "a header in hex",
    { scheme: "hmac", header: "x-sig" },
    "s3cret",
    (body) => ({ headers: { "X-Sig": mac(body).toString("hex") } }),
  ],
  [
    "upper-case digits",
    { scheme: "hmac", header: "x-sig" },
    "s3cret",
    (body) => ({ headers: { "x-sig": mac(body).toString("hex").toUpperCase() } }),
  ],
  [
    "SHA-1, base64, with a prefix",
    { scheme: "hmac", header: "authorization", prefix: "HMAC ", algorithm: "sha1", encoding: "base64" },
    "s3cret",
    (body) => ({ headers: { authorization: `HMAC ${mac(body, "s3cret", "sha1").toString("base64")}` } }),
  ],
  [
    "SHA-512 and a key of hexadecimal digits",
    {
      scheme: "hmac",
      header: "x-sig",
      algorithm: "sha512",
      encoding: "base64url",
      key: { decoding: "hex", prefix: "key_" },
    },
    "key_00ff10",
    (body) => ({ headers: { "x-sig": mac(body, Buffer.from("00ff10", "hex"), "sha512").toString("base64url") } }),
  ],
  [
    "a list with the time in it",
    {
      scheme: "hmac",
      header: "x-sig",
      list: { separator: ";", keySeparator: "=", key: "v2" },
      content: "{ts}:{body}",
      timestamp: { listKey: "at" },
    },
    "s3cret",
    (body) => ({
      headers: {
        "x-sig": `at=${now()};v1=00;v2=${mac("of an older key").toString("hex")};v2=${mac(`${now()}:${body}`).toString("hex")}`,
      },
    }),
  ],
  [
    "a signature in the body over fields and headers",
    { scheme: "hmac", bodyField: "meta.sig", content: "{header:x-id}|{json:id}|{json:kind}" },
    "s3cret",
    (body) => {
      const value = JSON.parse(body);
      const sig = mac(`r-1|${value.id}|${value.kind}`).toString("hex");
      return { headers: { "x-id": "r-1" }, body: JSON.stringify({ ...value, meta: { ...value.meta, sig } }) };
    },
  ],
  [
    "method, URL and body",
    { scheme: "hmac", header: "x-sig", content: "{method} {url}\n{path}\n{body}" },
    "s3cret",
    (body, url) => ({ headers: { "x-sig": mac(`POST ${url}\n${new URL(url).pathname}\n${body}`).toString("hex") } }),
  ],
  [
    "a timestamp in RFC 3339, in a header",
    { scheme: "hmac", header: "x-sig", content: "{header:x-at}|{body}", timestamp: { header: "x-at", unit: "iso" } },
    "s3cret",
    (body) => {
      const at = new Date().toISOString();
      return { headers: { "x-at": at, "x-sig": mac(`${at}|${body}`).toString("hex") } };
    },
  ],
];

const pairs = {
  ed25519: generateKeyPairSync("ed25519"),
  ec: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const raw = (key: KeyObject) => Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
const spki = (key: KeyObject) => key.export({ type: "spki", format: "der" }).toString("base64");
const by = (pair: keyof typeof pairs, hash: string | null, content: string) =>
  sign(hash, Buffer.from(content), pairs[pair].privateKey);

const publicKeys: typeof signed = [
  [
    "Ed25519, raw in hex",
    {
      scheme: "public-key",
      header: "x-sig",
      algorithm: "ed25519",
      content: "{ts}{body}",
      timestamp: { header: "x-ts" },
      key: { decoding: "raw-hex" },
    },
    raw(pairs.ed25519.publicKey).toString("hex"),
    (body) => ({ headers: { "x-ts": `${now()}`, "x-sig": by("ed25519", null, `${now()}${body}`).toString("hex") } }),
  ],
  [
    "Ed25519, raw in base64",
    {
      scheme: "public-key",
      header: "x-sig",
      algorithm: "ed25519",
      encoding: "base64",
      key: { decoding: "raw-base64", prefix: "whpk_" },
    },
    `whpk_${raw(pairs.ed25519.publicKey).toString("base64")}`,
    (body) => ({ headers: { "x-sig": by("ed25519", null, body).toString("base64") } }),
  ],
  [
    "ECDSA",
    { scheme: "public-key", header: "x-sig", algorithm: "ecdsa-sha256", encoding: "base64" },
    spki(pairs.ec.publicKey),
    (body) => ({ headers: { "x-sig": by("ec", "sha256", body).toString("base64") } }),
  ],
  [
    "RSA",
    { scheme: "public-key", header: "x-sig", algorithm: "rsa-sha256", encoding: "base64" },
    spki(pairs.rsa.publicKey),
    (body) => ({ headers: { "x-sig": by("rsa", "sha256", body).toString("base64") } }),
  ],
];

const identity = { eventType: ["j:kind"], eventId: ["j:id"] };

describe.each([...signed, ...publicKeys])("%s", (_name, settings, secret, sender) => {
  const create = () =>
    createWebhook(service.api, { secret, source: "acme", verification: { ...settings, ...identity } });

  test("what is signed so is taken, once", async () => {
    const webhook = await create();
    const { headers, body = BODY } = sender(BODY, webhook.receiveUrl);
    const answer = await post(webhook, body, headers);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    expect(await readEvent(service.api, answer.body.eventId)).toMatchObject({
      type: "order.paid",
      sourceEventId: "e-1",
      verified: true,
      payload: body,
    });
    expect((await post(webhook, body, headers)).body).toMatchObject({ eventId: answer.body.eventId, duplicate: true });
  });

  test("anything else is refused, and the reason gives nothing away", async () => {
    const webhook = await create();
    const { headers, body = BODY } = sender(BODY, webhook.receiveUrl);
    for (const [sent, claimed] of [[body.replace("order.paid", "order.lost"), headers] as const, [body, {}] as const]) {
      const answer = await post(webhook, sent, claimed);
      expect(answer.status, JSON.stringify(answer.body)).toBe(401);
      expect(answer.body.error.message).not.toContain(secret);
    }
    expect((await service.api.get(`/webhooks/${webhook.id}/events`)).body.items).toEqual([]);
  });
});

/** Waits for the delivery of an event. */
async function forwarded(eventId: string) {
  for (let count = 1; ; count++) {
    const arrival = (await destination.arrived(count)).find(({ headers }) => headers["webhook-id"] === eventId);
    if (arrival) return arrival;
  }
}

const presented: [name: string, verification: object, secret: string, headers: Headers, others: Headers[]][] = [
  [
    "a token",
    { scheme: "token", header: "X-Acme-Token" },
    "t0ken",
    { "x-acme-token": "t0ken" },
    [
      {},
      { "x-acme-token": "" },
      { "x-acme-token": "t0ke" },
      { "x-acme-token": "t0ken " + "x" },
      { authorization: "t0ken" },
    ],
  ],
  [
    "a bearer token",
    { scheme: "token", header: "authorization", prefix: "Bearer " },
    "t0ken",
    { authorization: "Bearer t0ken" },
    [{ authorization: "t0ken" }, { authorization: "Basic t0ken" }, { authorization: "Bearer other" }],
  ],
  [
    "Basic",
    { scheme: "basic" },
    "user:pass:word",
    { authorization: `Basic ${Buffer.from("user:pass:word").toString("base64")}` },
    [
      {},
      { authorization: `Basic ${Buffer.from("user:pass").toString("base64")}` },
      { authorization: "Bearer user:pass:word" },
    ],
  ],
];

describe.each(presented)("%s", (_name, settings, secret, headers, others) => {
  const create = () =>
    createWebhook(service.api, { secret, url: destination.url, verification: { ...settings, ...identity } });

  test("is taken; it is neither kept nor forwarded", async () => {
    const webhook = await create();
    const answer = await post(webhook, BODY, headers);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    const event = await readEvent(service.api, answer.body.eventId);
    expect(event).toMatchObject({
      type: "order.paid",
      sourceEventId: "e-1",
      verified: true,
      scheme: (settings as { scheme: string }).scheme,
    });
    const name = Object.keys(headers)[0] ?? "";
    expect(event.headers[name]).toBe("[redacted]");
    const arrival = await forwarded(answer.body.eventId);
    expect(arrival.headers).not.toHaveProperty(name);
    expect(arrival.headers).toHaveProperty("webhook-signature");
    for (const text of [JSON.stringify(event), arrival.rawHeaders.join()]) expect(text).not.toContain(secret);
  });

  test("anything else is refused", async () => {
    const webhook = await create();
    for (const other of others) expect((await post(webhook, BODY, other)).status, JSON.stringify(other)).toBe(401);
  });
});

test("a token in the body", async () => {
  const verification = { scheme: "token", bodyField: "meta.passcode" };
  const webhook = await createWebhook(service.api, { secret: "t0ken", verification });
  const body = (passcode: unknown) => JSON.stringify({ type: "x", meta: { passcode } });
  expect((await post(webhook, body("t0ken"), {})).status).toBe(200);
  for (const other of ["t0ke", "", null, ["t0ken"], undefined])
    expect((await post(webhook, body(other), {})).status).toBe(401);
});

describe("none", () => {
  const create = (more: object = {}): Promise<CreatedWebhook> =>
    createWebhook(service.api, { source: "acme", url: destination.url, verification: { scheme: "none", ...more } });

  test("everything is taken, marked unverified, and never forwarded under our signature", async () => {
    const webhook = await create();
    for (const headers of [{}, { "webhook-signature": "v1,AAAA", "x-hub-signature-256": "sha256=00" }]) {
      const { body } = await post(webhook, BODY, headers);
      expect(body).toEqual({ received: true, eventId: expect.any(String), duplicate: false });
      expect(await readEvent(service.api, body.eventId)).toMatchObject({ verified: false, scheme: "none" });
      const arrival = await forwarded(body.eventId);
      expect(arrival.headers).not.toHaveProperty("webhook-signature");
      expect(arrival.headers).toMatchObject({ "webhook-id": body.eventId, "alumia-webhook-id": webhook.id });
    }
  });

  test("nor when it is delivered again, though the webhook verifies by then", async () => {
    const webhook = await create();
    const { eventId } = (await post(webhook, BODY, {})).body;
    await forwarded(eventId);
    const change = { verification: { scheme: "hmac", header: "x-sig" }, secret: "s3cret" };
    expect((await service.api.patch(`/webhooks/${webhook.id}`, change)).status).toBe(200);
    const before = destination.arrivals.length;
    expect((await service.api.post(`/webhooks/events/${eventId}/replay`)).status).toBe(200);
    const again = (await destination.arrived(before + 1)).slice(before);
    expect(again.map(({ headers }) => [headers["webhook-id"], "webhook-signature" in headers])).toEqual([
      [eventId, false],
    ]);
  });

  test("an id that nobody vouches for makes no repeat of another body", async () => {
    const webhook = await create({ eventId: ["j:id"] });
    const outcomes: Json[] = [];
    for (const body of [BODY, BODY, BODY.replace("paid", "lost")]) outcomes.push((await post(webhook, body, {})).body);
    expect(outcomes.map(({ duplicate }) => duplicate)).toEqual([false, true, false]);
  });

  test("a test event is unverified as well; a verdict is no pass", async () => {
    const webhook = await create();
    const made = await service.api.post("/webhooks/test", { webhookId: webhook.id });
    expect(made.body).toMatchObject({ verified: false, scheme: "none", synthetic: true });
    const { body } = await service.api.post("/webhooks/verify", { webhookId: webhook.id, headers: {}, payload: BODY });
    expect(body).toMatchObject({ valid: false, scheme: "none", reason: expect.stringMatching(/^nothing is verified/) });
  });
});

test("a webhook that never had a secret may go over to none, and tests itself", async () => {
  const webhook = await createWebhook(service.api, { verification: publicKeys[0]?.[1] });
  const change = { verification: { scheme: "none" } };
  expect((await service.api.patch(`/webhooks/${webhook.id}`, change)).status).toBe(200);
  const { status, body } = await service.api.post("/webhooks/test", { webhookId: webhook.id });
  expect([status, body.verified], JSON.stringify(body)).toEqual([200, false]);
});

test.each([
  ["hmac", { scheme: "hmac", header: "x-sig" }],
  ["hmac in the body", { scheme: "hmac", bodyField: "meta.sig", content: "{json:type}.{json:id}" }],
  [
    "hmac with a timestamp",
    { scheme: "hmac", header: "x-sig", content: "{ts}.{body}", timestamp: { bodyField: "sent", unit: "ms" } },
  ],
  ["token", { scheme: "token", header: "x-token" }],
  ["basic", { scheme: "basic" }],
  ["a pinned form", { scheme: "standardwebhooks" }],
])("a test event is signed as a webhook asks: %s", async (_name, verification) => {
  const webhook = await createWebhook(service.api, { verification });
  const { status, body } = await service.api.post("/webhooks/test", { webhookId: webhook.id, eventType: "made" });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toMatchObject({ type: "made", verified: true, synthetic: true, scheme: verification.scheme });
});

test("where only the provider could sign, a test event says so", async () => {
  const [, verification, secret] = publicKeys[0] ?? [];
  const webhook = await createWebhook(service.api, { verification, secret });
  const { body } = await service.api.post("/webhooks/test", { webhookId: webhook.id });
  expect(body).toMatchObject({ scheme: "synthetic", synthetic: true });
});

test("a webhook is created without a secret that only the provider can make, and takes nothing until it has one", async () => {
  const [, verification, secret = "", sender] = publicKeys[1] ?? [];
  const webhook = await createWebhook(service.api, { verification });
  expect(webhook.secret).toBeUndefined();
  const { headers } = sender?.(BODY, "") ?? { headers: {} };
  expect((await post(webhook, BODY, headers)).status).toBe(401);
  const renamed = await service.api.patch(`/webhooks/${webhook.id}`, { verification: { eventType: ["j:kind"] } });
  expect(renamed.status, JSON.stringify(renamed.body)).toBe(200);
  expect((await service.api.post(`/webhooks/${webhook.id}/rotate`)).status).toBe(400);
  expect((await service.api.post(`/webhooks/${webhook.id}/rotate`, { secret })).status).toBe(200);
  expect((await post(webhook, BODY, headers)).status).toBe(200);
});

test("a generated secret is of the form that the settings take", async () => {
  const verification = { scheme: "hmac", header: "x-sig", key: { decoding: "hex" } };
  const webhook = await createWebhook(service.api, { verification });
  expect(webhook.secret).toMatch(/^[0-9a-f]{64}$/);
  const headers = { "x-sig": mac(BODY, Buffer.from(webhook.secret, "hex")).toString("hex") };
  expect((await post(webhook, BODY, headers)).status).toBe(200);
});
