/** API keys over REST: mint, list, use, revoke. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Api, createApi } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, conflict, notFound, refusal, unauthorized } from "./refusal.ts";

const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

let service: TestService;
let replica: TestService;
let clock: ManualClock;
/** An organization with one key. */
let api: Api;

beforeAll(async () => {
  clock = new ManualClock();
  service = await startService({ clock });
  replica = await startService({ clock, replicaOf: service });
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});
beforeEach(async () => {
  api = await service.otherOrganization();
});

const mint = async (fields: object = {}) => (await api.post("/api-keys", { name: "k", ...fields })).body;
const list = async () => (await api.get("/api-keys")).body.items;
const statusWith = async (key: string, url = service.url) => (await createApi(url, key).get("/webhooks")).status;

test("mint answers 201 with the plaintext, once; the list has everything else", async () => {
  const expiresAt = new Date(clock.now() + 3_600_000).toISOString();
  const { status, body } = await api.post("/api-keys", { name: "deploy", expiresAt });
  expect(status).toBe(201);
  const { key, ...shown } = body;
  expect(key).toMatch(/^alm_test_[0-9a-f]{32}$/);
  expect(shown).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    name: "deploy",
    prefix: key.slice(0, 12),
    createdAt: expect.stringMatching(TIME),
    lastUsedAt: null,
    expiresAt,
  });
  const listed = await api.get("/api-keys");
  expect(listed.body.items).toContainEqual(shown);
  expect(JSON.stringify(listed.body)).not.toContain('"key"');
  expect(await statusWith(key)).toBe(200);
});

test("only the SHA-256 and the prefix are stored", async () => {
  const { id, key } = await mint();
  const { rows } = await service.pool.query("select to_jsonb(k) as row from api_keys k where id = $1", [id]);
  expect(JSON.stringify(rows)).not.toContain(key.slice(12));
  expect(JSON.stringify(rows)).not.toContain(Buffer.from(key).toString("hex"));
});

test("a minted key works in its own organization", async () => {
  const { key } = await mint();
  const webhook = (await api.post("/webhooks", { name: "w" })).body;
  expect((await createApi(service.url, key).get(`/webhooks/${webhook.id}`)).status).toBe(200);
});

test("lastUsedAt is noted, to the minute", async () => {
  const { id, key } = await mint();
  const lastUsed = async () => (await list()).find((item: { id: string }) => item.id === id).lastUsedAt;
  expect(await lastUsed()).toBeNull();
  await statusWith(key);
  const first = await eventually("the use noted", async () => (await lastUsed()) ?? undefined);
  expect(Date.parse(first)).toBe(clock.now());
  clock.advance(30_000);
  await statusWith(key);
  expect(await lastUsed()).toBe(first);
  clock.advance(31_000);
  await statusWith(key);
  await eventually("the later use noted", async () => (await lastUsed()) !== first);
});

test("a revocation holds at once, on every replica, and the key leaves the list", async () => {
  const { id, key } = await mint();
  expect([await statusWith(key), await statusWith(key, replica.url)]).toEqual([200, 200]);
  const revoked = await api.delete(`/api-keys/${id}`);
  expect([revoked.status, revoked.body]).toEqual([200, { revoked: true }]);
  expect([await statusWith(key), await statusWith(key, replica.url)]).toEqual([401, 401]);
  expect((await list()).map((item: { id: string }) => item.id)).not.toContain(id);
  expect(refusal(await api.delete(`/api-keys/${id}`))).toEqual(notFound);
});

test("a key may revoke itself while there is another", async () => {
  const { id, key } = await mint();
  const second = createApi(service.url, key);
  expect((await second.delete(`/api-keys/${id}`)).status).toBe(200);
  expect(refusal(await second.get("/webhooks"))).toEqual(unauthorized);
  expect((await api.get("/webhooks")).status).toBe(200);
});

test.each<[string, (id: string) => string]>([
  ["its id", (id) => id],
  ["its id in upper case", (id) => id.toUpperCase()],
])("the last key cannot revoke itself, by %s", async (_what, write) => {
  const [{ id }] = await list();
  expect(refusal(await api.delete(`/api-keys/${write(id)}`))).toEqual(conflict);
  expect((await api.get("/webhooks")).status).toBe(200);
});

test("keys that have expired or were revoked do not count as another", async () => {
  const [{ id }] = await list();
  const revoked = await mint();
  await mint({ expiresAt: new Date(clock.now() + 1_000).toISOString() });
  await api.delete(`/api-keys/${revoked.id}`);
  clock.advance(1_000);
  expect(refusal(await api.delete(`/api-keys/${id}`))).toEqual(conflict);
});

test("two keys that revoke each other at the same time leave one", async () => {
  const [{ id: first }] = await list();
  const { id: second, key } = await mint();
  const answers = await Promise.all([
    api.delete(`/api-keys/${second}`),
    createApi(service.url, key).delete(`/api-keys/${first}`),
  ]);
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
  const { rows } = await service.pool.query("select 1 from api_keys where id = any ($1) and revoked_at is null", [
    [first, second],
  ]);
  expect(rows).toHaveLength(1);
});

test("an expiry is judged by the clock", async () => {
  const { key } = await mint({ expiresAt: new Date(clock.now() + 60_000).toISOString() });
  expect(await statusWith(key)).toBe(200);
  clock.advance(59_999);
  expect(await statusWith(key)).toBe(200);
  clock.advance(1);
  expect(await statusWith(key)).toBe(401);
});

test.each<[object, string]>([
  [{}, "name string.min_len"],
  [{ name: "" }, "name string.min_len"],
  [{ name: "x".repeat(121) }, "name string.max_len"],
  [{ name: "a\0" }, "name text.nul"],
  [{ name: "k", expiresAt: "2020-01-01T00:00:00Z" }, "expiresAt future"],
  [{ name: "k", expiresAt: "tomorrow" }, "expiresAt type"],
  [{ name: "k", key: "alm_test_0" }, "key unknown"],
])("mint refuses %j", async (fields, field) => {
  expect(refusal(await api.post("/api-keys", fields))).toEqual(badRequest(field));
  expect(await list()).toHaveLength(1);
});

test("revoking an unknown id is NOT_FOUND, no UUID BAD_REQUEST", async () => {
  expect(refusal(await api.delete(`/api-keys/${UNKNOWN_ID}`))).toEqual(notFound);
  expect(refusal(await api.delete("/api-keys/1"))).toEqual(badRequest("id string.uuid"));
});
