/** A webhook's verification settings over REST: their JSON, what absent and null mean, and when a secret must come along. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, refusal } from "./refusal.ts";

const ACME = {
  scheme: "hmac",
  header: "X-Acme-Signature",
  prefix: "v1=",
  encoding: "base64",
  content: "{ts}.{body}",
  timestamp: { header: "x-acme-time", unit: "ms" },
  eventType: ["h:x-acme-event"],
};

/** Every setting as JSON shows it that is not set. */
const UNSET = {
  scheme: null,
  header: null,
  bodyField: null,
  prefix: null,
  list: null,
  algorithm: null,
  encoding: null,
  content: null,
  timestamp: null,
  key: null,
  eventType: [],
  eventId: [],
  repeats: null,
};
const UNSET_TIMESTAMP = {
  header: null,
  bodyField: null,
  listKey: null,
  unit: null,
  toleranceSeconds: null,
  futureToleranceSeconds: null,
};
const SHOWN = { ...UNSET, ...ACME, timestamp: { ...UNSET_TIMESTAMP, ...ACME.timestamp } };

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

async function create(fields: object) {
  const { status, body } = await service.api.post("/webhooks", { name: "w", ...fields });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

const patch = (id: string, fields: object) => service.api.patch(`/webhooks/${id}`, fields);
const shownBy = async (id: string) => (await service.api.get(`/webhooks/${id}`)).body.verification;

test("what is set is shown by every answer, what is not is null", async () => {
  const webhook = await create({ source: "acme", verification: ACME });
  expect(webhook.verification).toEqual(SHOWN);
  expect(await shownBy(webhook.id)).toEqual(SHOWN);
  const { items } = (await service.api.get("/webhooks?source=acme")).body;
  expect(items.map((it: { verification: object }) => it.verification)).toEqual([SHOWN]);
  const rotated = await service.api.post(`/webhooks/${webhook.id}/rotate`);
  expect(rotated.body.verification).toEqual(SHOWN);
});

test.each([
  ["null", null],
  ["{}", {}],
  ["empty lists", { eventType: [], eventId: [] }],
])("%s on create means as the preset says", async (_what, verification) => {
  expect((await create({ verification })).verification).toBeNull();
});

const changes: [name: string, change: object | null, expected: object | null][] = [
  ["a key", { header: "x-other" }, { ...SHOWN, header: "x-other" }],
  [
    "a nested key",
    { timestamp: { toleranceSeconds: 60 } },
    { ...SHOWN, timestamp: { ...SHOWN.timestamp, toleranceSeconds: 60 } },
  ],
  ["a nested key to null", { timestamp: { unit: null } }, { ...SHOWN, timestamp: { ...SHOWN.timestamp, unit: null } }],
  ["a key to null", { prefix: null }, { ...SHOWN, prefix: null }],
  ["two keys to null", { content: null, timestamp: null }, { ...SHOWN, content: null, timestamp: null }],
  ["a list to []", { eventType: [] }, { ...SHOWN, eventType: [] }],
  ["a key by its proto name", { event_type: ["j:kind"] }, { ...SHOWN, eventType: ["j:kind"] }],
  ["everything, as it was shown", SHOWN, SHOWN],
  ["the scheme to none", { scheme: "none" }, { ...UNSET, scheme: "none", eventType: ACME.eventType }],
  ["the scheme to null", { scheme: null }, { ...UNSET, eventType: ACME.eventType }],
  ["null", null, null],
  ["{}", {}, null],
];

test.each(changes)("PATCH changes %s", async (_name, change, expected) => {
  const webhook = await create({ source: "acme", verification: ACME });
  const { status, body } = await patch(webhook.id, { verification: change });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.verification).toEqual(expected);
  expect(await shownBy(webhook.id)).toEqual(expected);
});

test("a patch of other fields leaves it; a whole answer may be sent back", async () => {
  const webhook = await create({ source: "acme", verification: ACME });
  expect((await patch(webhook.id, { name: "renamed" })).body.verification).toEqual(SHOWN);
  const got = (await service.api.get(`/webhooks/${webhook.id}`)).body;
  expect((await patch(webhook.id, got)).body.verification).toEqual(SHOWN);
});

const refused: [name: string, verification: unknown, violation: string][] = [
  ["a scheme that is none", { scheme: "md5" }, "verification.scheme in"],
  ["an empty scheme", { scheme: "" }, "verification.scheme string.min_len"],
  ["an unknown key", { sheme: "hmac" }, "verification.sheme unknown"],
  ["a number as header", { scheme: "hmac", header: 1 }, "verification.header type"],
  ["no header", { scheme: "hmac" }, "verification.header place"],
  ["an algorithm that is none", { ...ACME, algorithm: "md5" }, "verification.algorithm string.in"],
  ["an encoding that is none", { ...ACME, encoding: "binary" }, "verification.encoding string.in"],
  [
    "a template that is too long",
    { ...ACME, content: `{ts}{body}${"x".repeat(491)}` },
    "verification.content string.max_len",
  ],
  ["a template of an unknown variable", { ...ACME, content: "{now}" }, "verification.content template"],
  ["a unit that is none", { ...ACME, timestamp: { header: "t", unit: "h" } }, "verification.timestamp.unit string.in"],
  [
    "a tolerance of nothing",
    { ...ACME, timestamp: { header: "t", toleranceSeconds: 0 } },
    "verification.timestamp.toleranceSeconds int32.gte_lte",
  ],
  [
    "a tolerance over a week",
    { ...ACME, timestamp: { header: "t", futureToleranceSeconds: 604_801 } },
    "verification.timestamp.futureToleranceSeconds int32.gte_lte",
  ],
  ["a timestamp that is nowhere", { ...ACME, timestamp: { unit: "s" } }, "verification.timestamp.header place"],
  ["a timestamp that is not signed", { ...ACME, content: "{body}" }, "verification.content timestamp"],
  ["a decoding that is none", { ...ACME, key: { decoding: "utf16" } }, "verification.key.decoding string.in"],
  ["a decoding of another scheme", { ...ACME, key: { decoding: "spki" } }, "verification.key.decoding in"],
  ["a separator that is none", { ...ACME, list: { separator: "|" } }, "verification.list.separator string.in"],
  ["eleven lookups", { eventType: Array(11).fill("j:type") }, "verification.eventType repeated.max_items"],
  ["a long lookup", { eventId: ["j:id", `j:${"x".repeat(199)}`] }, "verification.eventId[1] string.max_len"],
  ["a lookup of no form", { eventId: ["j:id", "id"] }, "verification.eventId[1] lookup"],
  ["a policy that is none", { repeats: "id" }, "verification.repeats string.in"],
  ["a policy without an id", { scheme: "hmac", header: "s", repeats: "signed-id" }, "verification.repeats id"],
  ["a text", "hmac", "verification type"],
  ["a list", [], "verification type"],
];

describe("refused by its field's name, and nothing changes", () => {
  test.each(refused)("%s", async (_name, verification, violation) => {
    expect(refusal(await service.api.post("/webhooks", { name: "w", verification }))).toEqual(badRequest(violation));
    const captured = { source: "custom", secret: "s", payload: "", verification };
    expect(refusal(await service.api.post("/webhooks/verify", captured))).toEqual(badRequest(violation));
    const webhook = await create({});
    expect(refusal(await patch(webhook.id, { name: "changed", verification }))).toEqual(badRequest(violation));
    const { updatedAt, name, verification: shown } = (await service.api.get(`/webhooks/${webhook.id}`)).body;
    expect([updatedAt, name, shown]).toEqual([webhook.updatedAt, "w", null]);
  });
});

test("a message says what would help", async () => {
  const told = async (verification: object) =>
    (await service.api.post("/webhooks", { name: "w", source: "Stripe", verification })).body.error.message;
  expect(await told({ scheme: "sha256" })).toBe(
    "verification.scheme: must be hmac, public-key, token, basic, none or a form of source stripe (stripe)",
  );
  expect(await told({ header: "x-sig" })).toBe(
    "verification.header: is of no use with the preset of stripe: describe a scheme of your own (hmac, public-key, token, basic, none)",
  );
  expect(await told({ scheme: "hmac", header: "x-sig", content: "{ts}.{body}" })).toBe(
    "verification.timestamp: is needed for {ts} in content",
  );
});

test("POST /webhooks/verify tries settings before a webhook has them, and takes none beside a webhook", async () => {
  const at = Date.parse("2026-11-24T10:00:00Z");
  const payload = '{"id":"e-1"}';
  const signature = createHmac("sha256", "s3cret").update(`${at}.${payload}`).digest("base64");
  const headers = { "x-acme-signature": `v1=${signature}`, "x-acme-time": String(at), "x-acme-event": "made" };
  const captured = { source: "acme", secret: "s3cret", verification: ACME, headers, payload };
  const verified = await service.api.post("/webhooks/verify", { ...captured, at: "2026-11-24T10:05:00Z" });
  expect(verified.body).toEqual({ valid: true, scheme: "hmac", reason: null, eventType: "made", eventId: null });
  const stale = await service.api.post("/webhooks/verify", { ...captured, at: "2026-11-24T10:05:01Z" });
  expect(stale.body).toMatchObject({ valid: false, reason: "timestamp 301 s old, tolerance 300 s" });
  const webhook = await create({ source: "acme", verification: ACME, secret: "s3cret" });
  const byWebhook = { webhookId: webhook.id, headers, payload, at: "2026-11-24T10:00:00Z" };
  expect((await service.api.post("/webhooks/verify", byWebhook)).body.valid).toBe(true);
  const both = await service.api.post("/webhooks/verify", { ...byWebhook, verification: ACME });
  expect(refusal(both)).toEqual(badRequest(" verify.verification"));
});

describe("the secret that a change needs", () => {
  const TEXT = "a plain text secret";
  const custom = { secret: TEXT };
  const HMAC = { scheme: "hmac", header: "x-hub-signature-256", prefix: "sha256=" };
  const HEX = { ...HMAC, key: { decoding: "hex" } };
  const TOKEN = { scheme: "token", header: "x-token" };
  const NONE = { scheme: "none" };
  const hub = { ...custom, verification: { scheme: "hub-signature-256" } };

  /** Headers that prove the secret by each way that stands in the cases. */
  const proofOf = (secret: string, key: string | Buffer = secret) => ({
    "x-hub-signature-256": `sha256=${createHmac("sha256", key).update("{}").digest("hex")}`,
    "x-token": secret,
    authorization: `Basic ${Buffer.from(secret).toString("base64")}`,
  });
  const kept = proofOf(TEXT);

  const accepted: [name: string, before: object, change: object, proof: Record<string, string>][] = [
    ["the same kind of key, which the secret fits", custom, { verification: HMAC }, kept],
    [
      "another secret sent along",
      custom,
      { verification: HEX, secret: "00ff" },
      proofOf("00ff", Buffer.from("00ff", "hex")),
    ],
    ["a pinned form that it fits", custom, { verification: { scheme: "hub-signature-256" } }, kept],
    ["lookups alone", custom, { verification: { eventType: ["j:kind"] } }, kept],
    ["no settings any more", { ...custom, verification: HMAC }, { verification: null }, kept],
    ["another source beside settings that stay", { ...custom, verification: HMAC }, { source: "acme" }, kept],
    ["another source and settings for it", custom, { source: "github", verification: HMAC }, kept],
    ["another kind, with its secret", custom, { verification: TOKEN, secret: "t0ken" }, proofOf("t0ken")],
    ["Basic, with its credentials", custom, { verification: { scheme: "basic" }, secret: "u:p" }, proofOf("u:p")],
    [
      "none, then the same secret again",
      { ...custom, verification: NONE },
      { verification: TOKEN, secret: TEXT },
      kept,
    ],
    [
      "none, then another one",
      { ...custom, verification: NONE },
      { verification: null, secret: "next" },
      proofOf("next"),
    ],
  ];

  test.each(accepted)("accepted: %s", async (_name, before, change, proof) => {
    const webhook = await create(before);
    const { status, body } = await patch(webhook.id, change);
    expect([status, "secret" in body], JSON.stringify(body)).toEqual([200, false]);
    const judged = (headers: object) =>
      service.api.post("/webhooks/verify", { webhookId: webhook.id, payload: "{}", headers });
    // Only one proof counts: the way that the webhook verifies.
    const way = Object.keys(proof).map((name) => judged({ [name]: proof[name] }));
    expect((await Promise.all(way)).filter((answer) => answer.body.valid)).toHaveLength(1);
    if (proof !== kept) {
      const old = Object.entries(kept).map(([name, value]) => judged({ [name]: value }));
      expect((await Promise.all(old)).some((answer) => answer.body.valid)).toBe(false);
    }
  });

  const refusedChanges: [name: string, before: object, change: object, violation: string][] = [
    ["the same kind, which the secret does not fit", custom, { verification: HEX }, "secret required"],
    ["the unfit one sent along", custom, { verification: HEX, secret: TEXT }, "secret required"],
    ["one sent along that does not fit", custom, { verification: HEX, secret: "no hex" }, "secret secret"],
    ["a pinned form that it does not fit", custom, { verification: { scheme: "standardwebhooks" } }, "secret required"],
    ["another kind without one", custom, { verification: TOKEN }, "secret required"],
    [
      "another kind with the old one: a token is shown to whoever asks",
      custom,
      { verification: TOKEN, secret: TEXT },
      "secret required",
    ],
    ["from a token to a signature", { secret: "t", verification: TOKEN }, { verification: null }, "secret required"],
    ["from none without saying which", { ...custom, verification: NONE }, { verification: null }, "secret required"],
    ["another secret without a change", custom, { secret: "another" }, "secret rotate"],
    [
      "another secret with the settings that stand",
      { ...custom, verification: HMAC },
      { verification: HMAC, secret: "x" },
      "secret rotate",
    ],
    ["a source that the standing settings do not fit", hub, { source: "stripe" }, "verification.scheme in"],
  ];

  test.each(refusedChanges)("refused: %s", async (_name, before, change, violation) => {
    const webhook = await create(before);
    expect(refusal(await patch(webhook.id, { ...change, name: "changed" }))).toEqual(badRequest(violation));
    const { name, source, verification } = (await service.api.get(`/webhooks/${webhook.id}`)).body;
    expect([name, source, verification]).toEqual(["w", webhook.source, webhook.verification]);
  });

  test("no secret of an older grace comes along to another kind", async () => {
    const webhook = await create(custom);
    await service.api.post(`/webhooks/${webhook.id}/rotate`, { secret: "next", gracePeriodSeconds: 3_600 });
    await patch(webhook.id, { verification: NONE });
    expect((await patch(webhook.id, { verification: TOKEN, secret: "next" })).status).toBe(200);
    const post = async (token: string) => (await send(webhook.receiveUrl, "{}", { "x-token": token })).status;
    expect([await post("next"), await post(TEXT)]).toEqual([200, 401]);
  });

  test("going to none needs none, and keeps it", async () => {
    const webhook = await create(custom);
    expect((await patch(webhook.id, { verification: NONE })).status).toBe(200);
    expect((await patch(webhook.id, { verification: null, secret: TEXT })).status).toBe(200);
    expect((await send(webhook.receiveUrl, "{}", hubSignature(TEXT, "{}"))).status).toBe(200);
  });
});

test("what it describes is what is received", async () => {
  const webhook = await create({ source: "acme", verification: ACME, secret: "s3cret" });
  const body = '{"id":"e-1"}';
  const post = (time: number, signed = `${time}.${body}`) => {
    const signature = createHmac("sha256", "s3cret").update(signed).digest("base64");
    const headers = { "x-acme-signature": `v1=${signature}`, "x-acme-time": String(time), "x-acme-event": "made" };
    return send(webhook.receiveUrl, body, headers);
  };
  const taken = await post(Date.now());
  expect(taken.status, JSON.stringify(taken.body)).toBe(200);
  const event = (await service.api.get(`/webhooks/events/${taken.body.eventId}`)).body;
  expect(event).toMatchObject({ type: "made", sourceEventId: null, verified: true, scheme: "hmac", payload: body });
  expect((await post(Date.now(), body)).status).toBe(401);
  expect((await post(Date.now() - 400_000)).body.error.message).toMatch(/^timestamp 40\d.* s old, tolerance 300 s$/);
  const preset = await send(webhook.receiveUrl, body, hubSignature("s3cret", body));
  expect(preset.body.error.message).toMatch(/^x-acme-signature is missing; x-hub-signature-256 present/);
});

test("a test event is signed so", async () => {
  const webhook = await create({ source: "acme", verification: { ...ACME, eventId: ["j:meta.id"] } });
  const { status, body } = await service.api.post("/webhooks/test", { webhookId: webhook.id, eventType: "made" });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toMatchObject({ type: "made", verified: true, scheme: "hmac", synthetic: true });
  expect(body.sourceEventId).toMatch(/^test_/);
});
