/** The URL that all webhooks of source linear share: whose a request is, and what is none of theirs. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { open, statusOf } from "../edge/wire.ts";
import { createGrpcClient } from "../rpc/grpc-client.ts";
import { type Api, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { type LinearChange, linearRequest, sendLinear } from "./linear-senders.ts";
import { type CreatedWebhook, createWebhook, eventsOf, type Json, readEvent, refused } from "./senders.ts";

const MINUTE_MS = 60_000;
const clock = new ManualClock();
let service: TestService;
let replica: TestService;
let other: Api;

beforeAll(async () => {
  const limits = { traceIntervalMs: 20, traceBatchIntervalMs: 5 };
  service = await startService({ clock, limits });
  replica = await startService({ replicaOf: service, clock, limits });
  other = await service.otherOrganization();
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

const secretOf = () => `lin_wh_${randomUUID()}`;
const create = (api: Api = service.api, settings: object = {}): Promise<CreatedWebhook> =>
  createWebhook(api, { source: "linear", secret: secretOf(), ...settings });
const post = ({ secret }: { readonly secret: string }, change: LinearChange = {}, origin = service.url) =>
  sendLinear(origin, linearRequest(secret, clock.now(), change));

const rejectionsOf = (webhook: CreatedWebhook): Promise<Json[]> =>
  eventually("a rejection", async () => {
    const { items } = (await service.api.get(`/webhooks/${webhook.id}/rejections`)).body;
    return items.length > 0 && items;
  });

describe("whose it is", () => {
  test("the webhook's whose secret signed it, in whatever organization", async () => {
    const webhooks = [await create(), await create(other), await create(), await create(other)];
    for (const [n, webhook] of webhooks.entries()) {
      const api = n % 2 === 0 ? service.api : other;
      for (const action of ["create", "update"]) {
        const delivery = randomUUID();
        const answer = await post(webhook, { body: { action }, headers: { "linear-delivery": delivery } });
        expect(answer.status, JSON.stringify(answer.body)).toBe(200);
        expect(answer.body).toEqual({ received: true, eventId: expect.any(String), duplicate: false });
        expect(await readEvent(api, answer.body.eventId)).toMatchObject({
          webhookId: webhook.id,
          type: `Issue.${action}`,
          sourceEventId: delivery,
          verified: true,
          scheme: "linear",
        });
      }
      expect(await eventsOf(api, webhook)).toHaveLength(2);
    }
  });

  test("the same at the webhook's own URL", async () => {
    const webhook = await create();
    const { body, headers } = linearRequest(webhook.secret, clock.now());
    const answer = await send(webhook.receiveUrl, body, headers);
    expect([answer.status, await eventsOf(service.api, webhook)]).toMatchObject([200, [{ type: "Issue.create" }]]);
  });

  test("Linear's id of another webhook leads nobody astray", async () => {
    const [mine, theirs] = [await create(), await create(other)];
    const claimed = { body: { webhookId: randomUUID() } };
    expect((await post(theirs, claimed)).status).toBe(200);
    for (let n = 0; n < 6; n++) {
      const claimer = await create(other);
      expect((await post(claimer, claimed)).status).toBe(200);
      expect(await eventsOf(other, claimer)).toHaveLength(1);
    }
    expect((await post(mine, claimed)).status).toBe(200);
    expect((await post(theirs, claimed)).status).toBe(200);
    expect(await eventsOf(service.api, mine)).toHaveLength(1);
    expect(await eventsOf(other, theirs)).toHaveLength(2);
  });

  test("of several webhooks with one secret the oldest, on every replica, unless it is disabled", async () => {
    const oldest = await create();
    const { secret } = oldest;
    const copies = [await create(other, { secret }), await create(service.api, { secret })];
    for (const origin of [service.url, replica.url]) expect((await post(oldest, {}, origin)).status).toBe(200);
    expect(await eventsOf(service.api, oldest)).toHaveLength(2);
    expect(await eventsOf(other, copies[0] as CreatedWebhook)).toEqual([]);

    await service.api.patch(`/webhooks/${oldest.id}`, { status: "disabled" });
    const subscription = { body: { webhookId: randomUUID() } };
    expect((await post(oldest, subscription)).status).toBe(200);
    expect(await eventsOf(other, copies[0] as CreatedWebhook)).toHaveLength(1);
    await other.patch(`/webhooks/${copies[0]?.id}`, { status: "disabled" });
    for (const origin of [replica.url, service.url, service.url]) {
      expect((await post(oldest, subscription, origin)).status).toBe(200);
    }
    expect(await eventsOf(service.api, copies[1] as CreatedWebhook)).toHaveLength(3);
    await service.api.patch(`/webhooks/${copies[1]?.id}`, { status: "disabled" });
    expect((await post(oldest, subscription)).status).toBe(403);
  });

  test("over gRPC, where the metadata are the headers", async () => {
    const webhook = await create();
    const { body, headers } = linearRequest(webhook.secret, clock.now());
    const client = createGrpcClient(service.port, service.key);
    const call = (data: Buffer) =>
      client.unary(
        "ReceiveService/ReceiveLinear",
        { body: { contentType: "application/json", data } },
        { metadata: headers, authorized: false },
      );
    const { eventId } = await call(Buffer.from(body));
    expect(await readEvent(service.api, eventId)).toMatchObject({ webhookId: webhook.id, type: "Issue.create" });
    await expect(call(Buffer.from(`${body} `))).rejects.toMatchObject({ code: 16 });
    client.close();
  });
});

describe("the time it was sent", () => {
  const cases: [name: string, timestamp: (nowMs: number) => unknown, status: number][] = [
    ["now", (nowMs) => nowMs, 200],
    ["60,000 ms ago", (nowMs) => nowMs - MINUTE_MS, 200],
    ["60,000 ms ahead", (nowMs) => nowMs + MINUTE_MS, 200],
    ["60,001 ms ago", (nowMs) => nowMs - MINUTE_MS - 1, 401],
    ["60,001 ms ahead", (nowMs) => nowMs + MINUTE_MS + 1, 401],
    ["missing", () => undefined, 401],
    ["text", (nowMs) => String(nowMs), 401],
    ["null", () => null, 401],
    ["seconds", (nowMs) => Math.floor(nowMs / 1_000), 401],
  ];

  test.each(cases)("%s", async (_name, timestamp, status) => {
    const webhook = await create();
    const answer = await post(webhook, { body: { webhookTimestamp: timestamp(clock.now()) } });
    expect(answer.status, JSON.stringify(answer.body)).toBe(status);
    expect(await eventsOf(service.api, webhook)).toHaveLength(status === 200 ? 1 : 0);
    // Signed, so it is known whose it is.
    if (status === 401) expect(await rejectionsOf(webhook)).toMatchObject([{ check: "timestamp" }]);
  });

  test("what its header says of it does not count", async () => {
    const webhook = await create();
    const headers = { "linear-timestamp": String(clock.now()) };
    const answer = await post(webhook, { headers, body: { webhookTimestamp: clock.now() - 2 * MINUTE_MS } });
    expect(answer.status).toBe(401);
  });

  test("a repeat that was stamped anew is no new event", async () => {
    const webhook = await create();
    const [data, headers] = [{ id: "1" }, { "linear-delivery": randomUUID() }];
    const first = await post(webhook, { body: { data }, headers });
    clock.advance(MINUTE_MS);
    const second = await post(webhook, { body: { data }, headers });
    expect(second.body).toEqual({ received: true, eventId: first.body.eventId, duplicate: true });
    const different = await post(webhook, { body: { data: { id: "2" } } });
    expect(different.body.duplicate).toBe(false);
  });
});

describe("what is nobody's", () => {
  const NOBODY = { secret: "lin_wh_nobody" };

  test.each<[name: string, change: LinearChange, check: string]>([
    ["a forged signature", {}, "no signature matches under the secret of any webhook of source linear"],
    ["in upper case", { headers: { "linear-signature": "A".repeat(64) } }, "linear-signature holds no signature"],
    ["no hexadecimal", { headers: { "linear-signature": "sha256=1" } }, "linear-signature holds no signature"],
    ["empty", { headers: { "linear-signature": "" } }, "linear-signature is missing"],
  ])("%s", async (_name, change, message) => {
    const webhook = await create();
    expect((await post(webhook)).status).toBe(200);
    const answer = await post(NOBODY, change);
    expect(refused(answer)).toEqual([401, "UNAUTHORIZED"]);
    expect(answer.body.error.message).toContain(message);
  });

  test("a signature in upper case of a webhook that there is", async () => {
    const webhook = await create();
    const { body, headers } = linearRequest(webhook.secret, clock.now());
    const upper = { ...headers, "linear-signature": headers["linear-signature"]?.toUpperCase() ?? "" };
    expect((await sendLinear(service.url, { body, headers: upper })).status).toBe(401);
  });

  test("a webhook of another source with that secret", async () => {
    const { secret } = await createWebhook(service.api, { secret: secretOf() });
    expect((await post({ secret })).status).toBe(401);
  });

  test("a webhook that is verified in a way of its own", async () => {
    const { secret } = await create(service.api, { verification: { scheme: "none" } });
    expect((await post({ secret })).status).toBe(401);
  });

  test("one byte more", async () => {
    const webhook = await create();
    const { body, headers } = linearRequest(webhook.secret, clock.now());
    expect((await sendLinear(service.url, { body: `${body} `, headers })).status).toBe(401);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  });

  test("leaves a trace with the webhook that Linear's id has been seen with, and else none", async () => {
    const webhook = await create();
    const subscription = { body: { webhookId: randomUUID() } };
    expect((await post(NOBODY, subscription)).status).toBe(401);
    expect((await post(webhook, subscription)).status).toBe(200);
    expect((await service.api.get(`/webhooks/${webhook.id}/rejections`)).body.items).toEqual([]);
    const answer = await post(NOBODY, subscription);
    expect(answer.status).toBe(401);
    expect(await rejectionsOf(webhook)).toMatchObject([
      { check: "signature", reason: answer.body.error.message, count: 0, statusCode: 401 },
    ]);
  });

  test.each(["GET", "HEAD", "PUT", "DELETE", "PATCH"])("%s", async (method) => {
    const response = await fetch(`${service.url}/api/v1/webhooks/linear`, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("no signature is refused before the body has come", async () => {
    const socket = await open(service.port);
    socket.write("POST /api/v1/webhooks/linear HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    const [answer] = await once(socket, "data");
    expect(statusOf(String(answer))).toBe(401);
    socket.destroy();
  });

  test("a body over the cap", async () => {
    const webhook = await create();
    const answer = await post(webhook, { body: { data: "x".repeat(6 * 1024 * 1024) } });
    expect(refused(answer)).toEqual([413, "PAYLOAD_TOO_LARGE"]);
  });
});

describe("what changes", () => {
  test("a webhook that another replica has just made", async () => {
    await post(await create());
    const webhook = await create(replica.api);
    expect((await post(webhook)).status).toBe(200);
  });

  test("a rotation holds at once: the new secret counts, the old one no more", async () => {
    const webhook = await create();
    const subscription = { body: { webhookId: randomUUID() } };
    expect((await post(webhook, subscription)).status).toBe(200);
    const { body } = await replica.api.post(`/webhooks/${webhook.id}/rotate`, { secret: secretOf() });
    expect((await post({ secret: body.secret }, subscription)).status).toBe(200);
    expect((await post(webhook, subscription)).status).toBe(401);
    expect((await post(webhook, subscription, replica.url)).status).toBe(401);
    expect(await eventsOf(service.api, webhook)).toHaveLength(2);
  });

  test("in its grace the old secret counts, and then no more", async () => {
    const webhook = await create();
    expect((await post(webhook)).status).toBe(200);
    await service.api.post(`/webhooks/${webhook.id}/rotate`, { secret: secretOf(), gracePeriodSeconds: 60 });
    expect((await post(webhook)).status).toBe(200);
    clock.advance(61_000);
    expect((await post(webhook)).status).toBe(401);
  });

  test("a secret that goes over to another webhook takes its requests along", async () => {
    const [first, second] = [await create(), await create(other)];
    const subscription = { body: { webhookId: randomUUID() } };
    expect((await post(first, subscription)).status).toBe(200);
    await service.api.post(`/webhooks/${first.id}/rotate`, { secret: secretOf() });
    await other.post(`/webhooks/${second.id}/rotate`, { secret: first.secret });
    expect((await post(first, subscription)).status).toBe(200);
    expect(await eventsOf(service.api, first)).toHaveLength(1);
    expect(await eventsOf(other, second)).toHaveLength(1);
  });

  test("disabled: 403, with a trace; paused: recorded", async () => {
    const webhook = await create();
    await service.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
    expect((await post(webhook)).status).toBe(403);
    expect(await rejectionsOf(webhook)).toMatchObject([{ check: "disabled", statusCode: 403 }]);
    await service.api.patch(`/webhooks/${webhook.id}`, { status: "paused" });
    expect((await post(webhook)).status).toBe(200);
  });

  test("deleted, or of another source now: nobody's", async () => {
    for (const end of [
      (id: string) => service.api.delete(`/webhooks/${id}`),
      (id: string) => service.api.patch(`/webhooks/${id}`, { source: "github" }),
    ]) {
      const webhook = await create();
      expect((await post(webhook)).status).toBe(200);
      expect((await end(webhook.id)).status).toBe(200);
      expect((await post(webhook)).status).toBe(401);
    }
  });
});

test("of many webhooks the oldest of each organization are looked among", async () => {
  const small = await startService({ limits: { linearWebhooksPerOrganizationMax: 2 } });
  try {
    const crowd = await small.otherOrganization();
    const [first, second, third] = [await create(crowd), await create(crowd), await create(crowd)];
    const own = await create(small.api);
    const statuses: number[] = [];
    for (const { secret } of [first, second, third, own]) {
      statuses.push((await sendLinear(small.url, linearRequest(secret, Date.now()))).status);
    }
    expect(statuses).toEqual([200, 200, 401, 200]);
  } finally {
    await small.stop();
  }
});

test("a body too large to be compared with all is not refused, but left for later, unless it comes with a hint", async () => {
  const narrow = await startService({ limits: { linearSearchBytesMax: 300_000 } });
  try {
    const webhooks: CreatedWebhook[] = [];
    for (let n = 0; n < 5; n++) webhooks.push(await create(narrow.api));
    const large = { body: { data: "x".repeat(100_000), webhookId: randomUUID() } };
    const oldest = webhooks[0] as CreatedWebhook;
    const answer = await sendLinear(narrow.url, linearRequest(oldest.secret, Date.now(), large));
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    const small = { body: { webhookId: large.body.webhookId } };
    expect((await sendLinear(narrow.url, linearRequest(oldest.secret, Date.now(), small))).status).toBe(200);
    expect((await sendLinear(narrow.url, linearRequest(oldest.secret, Date.now(), large))).status).toBe(200);
  } finally {
    await narrow.stop();
  }
});
