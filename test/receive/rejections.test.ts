/** The traces that refused requests leave: why, what they looked like, and nothing that proves a sender. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGrpcClient } from "../rpc/grpc-client.ts";
import { type Api, hubSignature, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import {
  type CreatedWebhook,
  createWebhook,
  eventsOf,
  type Headers,
  type Json,
  receiveUrlAt,
  refused,
  seconds,
  sendHub,
  standardHeaders,
  stripeHeaders,
} from "./senders.ts";

const MAX = 100_000;
let service: TestService;
let replica: TestService;

beforeAll(async () => {
  const limits = { traceIntervalMs: 20, traceBatchIntervalMs: 5 };
  const env = { MAX_PAYLOAD_BYTES: String(MAX) };
  service = await startService({ limits, env });
  replica = await startService({ replicaOf: service, limits, env });
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

async function listed(webhook: CreatedWebhook, api: Api = service.api): Promise<Json[]> {
  const { status, body } = await api.get(`/webhooks/${webhook.id}/rejections?limit=100`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.items;
}

/** The rejections of a webhook, newest first, once they stand for so many requests. */
const rejectionsOf = (webhook: CreatedWebhook, requests = 1): Promise<Json[]> =>
  eventually(`${requests} rejections`, async () => {
    const items = await listed(webhook);
    return items.reduce((sum, item) => sum + 1 + item.count, 0) === requests && items;
  });

const BODY = '{"type":"order.paid","n":1}';
const FORGED = { "x-hub-signature-256": `sha256=${"0".repeat(64)}` };
const STALE = seconds(412);

const cases: [
  name: string,
  settings: object,
  headers: (secret: string) => Headers,
  status: number,
  check: string,
  reason: RegExp,
][] = [
  ["no signature", {}, () => ({}), 401, "missing_signature", /^webhook-signature or x-hub-signature-256 is missing$/],
  [
    "another provider's signature",
    { source: "stripe" },
    (secret) => hubSignature(secret, BODY),
    401,
    "missing_signature",
    /^stripe-signature is missing; x-hub-signature-256 present, but the source is stripe$/,
  ],
  ["a forged signature", {}, () => FORGED, 401, "signature", /^no signature matches under the active secret/],
  [
    "half a signature",
    {},
    () => ({ "x-hub-signature-256": "sha256=0123" }),
    401,
    "malformed_signature",
    /^x-hub-signature-256 holds no signature of the form sha256=/,
  ],
  [
    "an old timestamp",
    { source: "stripe" },
    (secret) => stripeHeaders(secret, BODY, STALE),
    401,
    "timestamp",
    /^timestamp 41\d s old, tolerance 300 s$/,
  ],
  [
    "both forms at once",
    {},
    (secret) => ({ ...FORGED, ...standardHeaders(secret, BODY) }),
    401,
    "ambiguous",
    /are both present/,
  ],
  [
    "disabled",
    { status: "disabled" },
    (secret) => hubSignature(secret, BODY),
    403,
    "disabled",
    /^this webhook is disa/,
  ],
];

describe("why a request was refused", () => {
  test.each(cases)("%s", async (_name, settings, headers, status, check, reason) => {
    const webhook = await createWebhook(service.api, settings);
    const answer = await send(webhook.receiveUrl, BODY, headers(webhook.secret));
    expect(answer.status).toBe(status);
    const [rejection] = await rejectionsOf(webhook);
    expect(rejection).toMatchObject({ webhookId: webhook.id, statusCode: status, check, method: "POST", count: 0 });
    expect(rejection.reason).toMatch(reason);
    expect(rejection.reason).toBe(answer.body.error.message);
    expect(rejection.size).toBe(BODY.length);
    expect(rejection.remoteAddress).toBe("127.0.0.1");
    expect(Math.abs(Date.parse(rejection.receivedAt) - Date.now())).toBeLessThan(60_000);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  });

  test.each(["declared", "chunked"])("a body over the cap, %s", async (how) => {
    const webhook = await createWebhook(service.api);
    const body = new Uint8Array(MAX + 1);
    const response = await fetch(webhook.receiveUrl, {
      method: "POST",
      body: how === "declared" ? body : ReadableStream.from([body]),
      headers: hubSignature(webhook.secret, body),
      duplex: "half",
    });
    expect(response.status).toBe(413);
    const [rejection] = await rejectionsOf(webhook);
    expect(rejection).toMatchObject({ statusCode: 413, check: "payload_too_large", body: null, payload: null });
    expect(rejection.size).toBe(how === "declared" ? MAX + 1 : null);
  });

  test("a proxy that is not trusted does not choose the address", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, { ...FORGED, "x-forwarded-for": "203.0.113.9" });
    expect((await rejectionsOf(webhook))[0].remoteAddress).toBe("127.0.0.1");
  });

  test("over gRPC, where the metadata are the headers", async () => {
    const webhook = await createWebhook(service.api);
    const client = createGrpcClient(service.port, service.key);
    const body = { contentType: "application/json", data: Buffer.from(BODY) };
    const call = client.unary(
      "ReceiveService/Receive",
      { webhookId: webhook.id, body },
      { metadata: { ...FORGED, "x-shop": "one" }, authorized: false },
    );
    await expect(call).rejects.toMatchObject({ code: 16 });
    await rejectionsOf(webhook);
    const { items } = await client.unary("TraceService/ListWebhookRejections", { webhookId: webhook.id });
    client.close();
    expect(items).toMatchObject([
      { webhookId: webhook.id, statusCode: 401, check: "signature", payload: BODY, body: Buffer.from(BODY) },
    ]);
    expect(items[0].headers).toEqual({
      "content-type": "application/json",
      "x-hub-signature-256": "[redacted: 71 characters]",
      "x-shop": "one",
    });
  });
});

describe("what is kept of it", () => {
  test("names of headers, but no credential and no signature", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe" });
    const hidden = {
      authorization: "Bearer hidden-1",
      cookie: "a=hidden-2",
      "x-api-key": "hidden-3",
      "x-shop-token": "hidden-4",
      "x-hook-secret": "hidden-5",
      "stripe-signature": "t=1,v1=hidden-6",
      "x-shopify-hmac-sha256": "hidden-7",
    };
    await send(webhook.receiveUrl, BODY, { ...hidden, "x-shown": "shown" });
    const [{ headers }] = await rejectionsOf(webhook);
    expect(JSON.stringify(headers)).not.toContain("hidden");
    expect(headers).toMatchObject({
      "x-shown": "shown",
      authorization: "[redacted]",
      "stripe-signature": "[redacted: 15 characters]",
      "x-shop-token": "[redacted: 8 characters]",
    });
    const { rows } = await service.pool.query("select t::text as row from receive_traces t where webhook_id = $1", [
      webhook.id,
    ]);
    expect(rows[0].row).not.toContain("hidden");
  });

  test("headers up to a bound", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, { ...FORGED, "x-long": "l".repeat(8_000), "x-z": "z" });
    const [{ headers }] = await rejectionsOf(webhook);
    expect(JSON.stringify(headers).length).toBeLessThan(5_000);
    expect(headers["x-long"]).toMatch(/^l{1000,}…$/);
  });

  const bodies: [name: string, body: Buffer, payload: string | null, kept: Buffer, truncated: boolean][] = [
    ["text", Buffer.from('{"ä":1}'), '{"ä":1}', Buffer.from('{"ä":1}'), false],
    ["bytes that are no text", Buffer.from([0xff, 0]), null, Buffer.from([0xff, 0]), false],
    ["nothing", Buffer.alloc(0), "", Buffer.alloc(0), false],
    ["4 KiB", Buffer.alloc(4_096, "a"), "a".repeat(4_096), Buffer.alloc(4_096, "a"), false],
    ["more than 4 KiB", Buffer.alloc(50_000, "a"), "a".repeat(4_096), Buffer.alloc(4_096, "a"), true],
    [
      "a character that is cut in two",
      Buffer.from(`a${"ä".repeat(3_000)}`),
      `a${"ä".repeat(2_047)}`,
      Buffer.from(`a${"ä".repeat(3_000)}`).subarray(0, 4_096),
      true,
    ],
  ];

  test.each(bodies)("of a body: %s", async (_name, body, payload, kept, truncated) => {
    const webhook = await createWebhook(service.api);
    expect((await send(webhook.receiveUrl, new Uint8Array(body), FORGED)).status).toBe(401);
    const [rejection] = await rejectionsOf(webhook);
    expect(rejection).toMatchObject({ payload, bodyTruncated: truncated, size: body.length });
    expect(Buffer.from(rejection.body, "base64")).toEqual(kept);
  });

  test("no body where the head alone was refused", async () => {
    const webhook = await createWebhook(service.api);
    const body = Buffer.alloc(90_000, "x");
    expect((await send(webhook.receiveUrl, new Uint8Array(body), {})).status).toBe(401);
    expect(await rejectionsOf(webhook)).toMatchObject([{ body: null, payload: null, size: 90_000 }]);
  });
});

describe("which are kept", () => {
  test("a flood of one check evicts no other, and all of it is counted", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, {});
    await rejectionsOf(webhook, 1);
    const requests = 400;
    for (let n = 0; n < requests; n += 50) {
      await Promise.all(Array.from({ length: 50 }, () => send(webhook.receiveUrl, BODY, FORGED)));
    }
    const items = await rejectionsOf(webhook, 1 + requests);
    expect(items.filter((item) => item.check === "missing_signature")).toHaveLength(1);
    expect(items.length).toBeLessThanOrEqual(1 + 3);
  });

  test("those of every replica", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, FORGED);
    await send(receiveUrlAt(replica.url, webhook), BODY, {});
    const items = await rejectionsOf(webhook, 2);
    expect(items.map((item) => item.check).toSorted()).toEqual(["missing_signature", "signature"]);
    expect((await replica.api.get(`/webhooks/${webhook.id}/rejections`)).body.items).toEqual(items);
  });

  test("none of what was taken, nor of what is nobody's", async () => {
    const webhook = await createWebhook(service.api);
    const { rows: before } = await service.pool.query("select count(*)::int as n from receive_traces");
    await sendHub(webhook, BODY);
    expect(refused(await send(receiveUrlAt(service.url, { ...webhook, id: randomUUID() }), BODY, FORGED))[0]).toBe(404);
    expect(refused(await send(receiveUrlAt(service.url, { ...webhook, id: "none" }), BODY, FORGED))[0]).toBe(404);
    const huge = new Uint8Array(MAX + 1);
    await send(receiveUrlAt(service.url, { ...webhook, id: randomUUID() }), huge, FORGED);
    // Written after all of these, if any of them were.
    const other = await createWebhook(service.api);
    await send(other.receiveUrl, BODY, FORGED);
    await rejectionsOf(other);
    expect(await listed(webhook)).toEqual([]);
    const { rows: after } = await service.pool.query("select count(*)::int as n from receive_traces");
    expect(after[0].n).toBe(before[0].n + 1);
  });

  test("pages, newest first", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, {});
    await rejectionsOf(webhook, 1);
    await send(webhook.receiveUrl, BODY, FORGED);
    const all = await rejectionsOf(webhook, 2);
    const path = `/webhooks/${webhook.id}/rejections?limit=1`;
    const { body: first } = await service.api.get(path);
    expect(first).toMatchObject({ items: [all[0]], hasMore: true });
    const { body: second } = await service.api.get(`${path}&cursor=${first.nextCursor}`);
    expect(second).toEqual({ items: [all[1]], hasMore: false, nextCursor: null });
    expect(all.map((item) => item.check)).toEqual(["signature", "missing_signature"]);
  });
});

describe("whose they are", () => {
  test("another organization's are NOT_FOUND", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, FORGED);
    await rejectionsOf(webhook);
    const other = await service.otherOrganization();
    expect(refused(await other.get(`/webhooks/${webhook.id}/rejections`))).toEqual([404, "NOT_FOUND"]);
  });

  test("they go with their webhook", async () => {
    const webhook = await createWebhook(service.api);
    await send(webhook.receiveUrl, BODY, FORGED);
    await rejectionsOf(webhook);
    await service.api.delete(`/webhooks/${webhook.id}`);
    expect(refused(await service.api.get(`/webhooks/${webhook.id}/rejections`))).toEqual([404, "NOT_FOUND"]);
    await eventually("purged", async () => {
      const { rowCount } = await service.pool.query("select from receive_traces where webhook_id = $1", [webhook.id]);
      return rowCount === 0;
    });
  });
});

test("a stop writes the traces that wait", async () => {
  const stopping = await startService({ replicaOf: service, limits: { traceIntervalMs: 60_000 } });
  const webhook = await createWebhook(service.api);
  for (let n = 0; n < 5; n++) await send(receiveUrlAt(stopping.url, webhook), BODY, FORGED);
  await stopping.stop();
  expect(await rejectionsOf(webhook, 5)).toHaveLength(2);
});
