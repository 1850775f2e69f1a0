/** Secrets that providers send: taken in a window that the owner opened, one in each, and in force once confirmed. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Api, send } from "../support/api.ts";
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
} from "./senders.ts";

let service: TestService;
let replica: TestService;

beforeAll(async () => {
  const limits = { traceIntervalMs: 20, traceBatchIntervalMs: 5 };
  service = await startService({ limits });
  replica = await startService({ replicaOf: service, limits });
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

const create = (source: string): Promise<CreatedWebhook> => createWebhook(service.api, { source });
const open = (id: string, body: object = {}, api: Api = service.api) => api.post(`/webhooks/${id}/capture`, body);
const stateOf = async (id: string): Promise<Json> => (await service.api.get(`/webhooks/${id}/capture`)).body;
const confirm = (id: string, api: Api = service.api) => api.post(`/webhooks/${id}/capture/confirm`);
/** Ends the window, or the time in which what was captured can be confirmed. */
const expire = (id: string) =>
  service.pool.query("update secret_captures set expires_at = now() where webhook_id = $1", [id]);

const TOKEN = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
const asNotion = ({ receiveUrl }: { readonly receiveUrl: string }, token: unknown = TOKEN) =>
  send(receiveUrl, JSON.stringify({ verification_token: token }), {});
const asAsana = (webhook: CreatedWebhook, secret: string) =>
  send(webhook.receiveUrl, "{}", { "x-hook-secret": secret });

function notionEvent(secret: string, n: number): { body: string; headers: Headers } {
  const body = JSON.stringify({ id: `e${n}`, type: "page.created" });
  const digest = createHmac("sha256", secret).update(body).digest("hex");
  return { body, headers: { "x-notion-signature": `sha256=${digest}` } };
}

describe("Notion", () => {
  test("its token is taken in the window, and signs once it is confirmed", async () => {
    const webhook = await create("notion");
    const opened = await open(webhook.id, { seconds: 60 });
    expect([opened.status, opened.body]).toEqual([
      200,
      {
        webhookId: webhook.id,
        state: "open",
        openedAt: expect.any(String),
        expiresAt: expect.any(String),
        capturedAt: null,
        remoteAddress: null,
      },
    ]);
    expect(Date.parse(opened.body.expiresAt) - Date.parse(opened.body.openedAt)).toBe(60_000);

    expect((await asNotion(webhook)).status).toBe(200);
    expect(await stateOf(webhook.id)).toMatchObject({ state: "captured", remoteAddress: "127.0.0.1" });
    const event = notionEvent(TOKEN, 1);
    expect((await send(webhook.receiveUrl, event.body, event.headers)).status).toBe(401);

    const confirmed = await confirm(webhook.id);
    expect([confirmed.status, confirmed.body.id, confirmed.body.secret]).toEqual([200, webhook.id, TOKEN]);
    expect((await send(webhook.receiveUrl, event.body, event.headers)).status).toBe(200);
    const old = notionEvent(webhook.secret, 2);
    expect((await send(webhook.receiveUrl, old.body, old.headers)).status).toBe(401);
    expect(await eventsOf(service.api, webhook)).toHaveLength(1);
    expect(refused(await service.api.get(`/webhooks/${webhook.id}/capture`))).toEqual([404, "NOT_FOUND"]);
    expect((await service.api.get(`/webhooks/${webhook.id}`)).body).not.toHaveProperty("secret");
  });

  test("nothing is taken before the window, after it, or by a stranger who comes second", async () => {
    const webhook = await create("notion");
    expect(refused(await asNotion(webhook, "secret_before"))).toEqual([403, "FORBIDDEN"]);
    await open(webhook.id);
    await expire(webhook.id);
    expect(refused(await asNotion(webhook, "secret_after"))).toEqual([403, "FORBIDDEN"]);
    expect(await stateOf(webhook.id)).toMatchObject({ state: "ended", capturedAt: null });
    expect(refused(await confirm(webhook.id))).toEqual([409, "CONFLICT"]);

    await open(webhook.id);
    expect((await asNotion(webhook, "secret_first")).status).toBe(200);
    expect(refused(await asNotion(webhook, "secret_second"))).toEqual([403, "FORBIDDEN"]);
    expect((await confirm(webhook.id)).body.secret).toBe("secret_first");
    expect(refused(await confirm(webhook.id))).toEqual([409, "CONFLICT"]);
  });

  test("of many at once one is taken, on whichever replica", async () => {
    const webhook = await create("notion");
    await open(webhook.id);
    const there = { receiveUrl: receiveUrlAt(replica.url, webhook) };
    const tokens = Array.from({ length: 12 }, (_, n) => `secret_${n}`);
    const answers = await Promise.all(tokens.map((token, n) => asNotion(n % 2 ? webhook : there, token)));
    const taken = tokens.filter((_, n) => answers[n]?.status === 200);
    expect(taken).toHaveLength(1);
    expect((await confirm(webhook.id)).body.secret).toBe(taken[0]);
  });

  test("a window that is opened anew begins anew", async () => {
    const webhook = await create("notion");
    await open(webhook.id);
    await asNotion(webhook, "secret_wrong");
    expect((await open(webhook.id)).body).toMatchObject({ state: "open", capturedAt: null });
    expect(refused(await confirm(webhook.id))).toEqual([409, "CONFLICT"]);
    expect((await asNotion(webhook, "secret_right")).status).toBe(200);
    expect((await confirm(webhook.id)).body.secret).toBe("secret_right");
  });

  test("what was captured must be confirmed within its time", async () => {
    const webhook = await create("notion");
    await open(webhook.id);
    await asNotion(webhook);
    const { capturedAt, expiresAt } = await stateOf(webhook.id);
    expect(Date.parse(expiresAt) - Date.parse(capturedAt)).toBe(86_400_000);
    await expire(webhook.id);
    expect(refused(await confirm(webhook.id))).toEqual([409, "CONFLICT"]);
  });

  test.each<[name: string, token: unknown]>([
    ["too long", "s".repeat(300)],
    ["of other characters", "secret with spaces"],
    ["no text", { a: 1 }],
    ["empty", ""],
  ])("a token that is %s is refused, and the window stays open", async (_name, token) => {
    const webhook = await create("notion");
    await open(webhook.id);
    expect(refused(await asNotion(webhook, token))).toEqual([400, "BAD_REQUEST"]);
    expect((await asNotion(webhook)).status).toBe(200);
  });

  test("the token stands in no trace, and a refusal says what would help", async () => {
    const webhook = await create("notion");
    const answer = await asNotion(webhook);
    expect(answer.body.error.message).toContain("POST /api/v1/webhooks/{id}/capture");
    await open(webhook.id);
    await asNotion(webhook);
    await eventually("both traces", async () => {
      const { rows } = await service.pool.query("select t::text as row from receive_traces t where webhook_id = $1", [
        webhook.id,
      ]);
      return rows.length === 2 && rows.every(({ row }) => !row.includes(TOKEN)) && rows;
    });
    const { items } = (await service.api.get(`/webhooks/${webhook.id}/rejections`)).body;
    expect(items).toMatchObject([{ check: "capture", statusCode: 403, body: null, size: expect.any(Number) }]);
    const { rows } = await service.pool.query("select c::text as row from secret_captures c");
    expect(rows.some(({ row }) => row.includes(TOKEN))).toBe(false);
  });

  test("a signed event is an event, whatever it holds", async () => {
    const webhook = await create("notion");
    await open(webhook.id);
    const body = JSON.stringify({ id: "e1", type: "page.created", verification_token: TOKEN });
    const signature = `sha256=${createHmac("sha256", webhook.secret).update(body).digest("hex")}`;
    expect((await send(webhook.receiveUrl, body, { "x-notion-signature": signature })).status).toBe(200);
    expect(await stateOf(webhook.id)).toMatchObject({ state: "open" });
    expect(await eventsOf(service.api, webhook)).toHaveLength(1);
  });
});

describe("Asana", () => {
  test("its secret is sent back in the same header, and signs once it is confirmed", async () => {
    const webhook = await create("asana");
    expect((await asAsana(webhook, "b537207f20cbfa02")).headers.get("x-hook-secret")).toBeNull();
    await open(webhook.id);
    const answer = await asAsana(webhook, "b537207f20cbfa02");
    expect([answer.status, answer.headers.get("x-hook-secret"), answer.body]).toEqual([200, "b537207f20cbfa02", ""]);
    expect((await confirm(webhook.id)).body.secret).toBe("b537207f20cbfa02");
    const body = '{"events":[]}';
    const signature = createHmac("sha256", "b537207f20cbfa02").update(body).digest("hex");
    expect((await send(webhook.receiveUrl, body, { "x-hook-signature": signature })).status).toBe(200);
    const { items } = (await service.api.get(`/webhooks/${webhook.id}/handshakes`)).body;
    expect(JSON.stringify(items)).not.toContain("b537207f20cbfa02");
  });
});

describe("who may", () => {
  test("only webhooks whose source sends its secret, and windows of 1 to 3600 seconds", async () => {
    expect(refused(await open((await create("stripe")).id))).toEqual([409, "CONFLICT"]);
    const { id } = await create("notion");
    for (const seconds of [0, 3_601, -1]) {
      expect((await open(id, { seconds })).body.error).toMatchObject({
        code: "BAD_REQUEST",
        details: [{ field: "seconds" }],
      });
    }
  });

  test("another organization neither opens, sees nor confirms", async () => {
    const webhook = await create("notion");
    const other = await service.otherOrganization();
    await open(webhook.id);
    await asNotion(webhook);
    for (const answer of [
      await open(webhook.id, {}, other),
      await other.get(`/webhooks/${webhook.id}/capture`),
      await confirm(webhook.id, other),
    ]) {
      expect(refused(answer)).toEqual([404, "NOT_FOUND"]);
    }
    expect((await confirm(webhook.id)).body.secret).toBe(TOKEN);
  });

  test("a disabled webhook takes none", async () => {
    const webhook = await create("notion");
    await open(webhook.id);
    await service.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
    expect(refused(await asNotion(webhook))).toEqual([403, "FORBIDDEN"]);
    expect(await stateOf(webhook.id)).toMatchObject({ state: "open" });
  });

  test("a window goes with its webhook", async () => {
    const webhook = await create("notion");
    await open(webhook.id);
    await service.api.delete(`/webhooks/${webhook.id}`);
    expect(refused(await asNotion(webhook))).toEqual([404, "NOT_FOUND"]);
    const { rowCount } = await service.pool.query("select from secret_captures where webhook_id = $1", [webhook.id]);
    expect(rowCount).toBe(0);
  });
});
