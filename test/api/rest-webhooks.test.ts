/** The webhook over REST: its exact JSON, and what absent, null and "" each mean. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, notFound, refusal } from "./refusal.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const URL_A = "https://consumer.example.com/hooks?a=1";
const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

const create = async (fields: object = {}) => {
  const { status, body } = await service.api.post("/webhooks", { name: "w", ...fields });
  expect(status).toBe(201);
  return body;
};

test("create with only a name answers 201 with every field, unset ones null, zero values present", async () => {
  const { status, body } = await service.api.post("/webhooks", { name: " only a name " });
  expect(status).toBe(201);
  expect(body.id).toMatch(UUID_V7);
  expect(body.createdAt).toMatch(TIME);
  const receiveUrl = `${service.url}/api/v1/webhooks/receive/${body.id}`;
  expect(body).toEqual({
    id: body.id,
    name: "only a name",
    url: receiveUrl,
    source: "custom",
    description: null,
    events: [],
    status: "active",
    enabled: true,
    deliveryCount: 0,
    lastDeliveryAt: null,
    createdAt: body.createdAt,
    updatedAt: body.createdAt,
    receiveUrl,
    delivery: {
      timeoutMs: null,
      maxConcurrency: null,
      rateLimit: null,
      schedule: [],
      maxAttempts: null,
      orderingKey: null,
    },
    forwarding: {
      circuit: { state: "closed", openedAt: null, nextProbeAt: null },
      ...{ state: "active", reason: null, stoppedAt: null, failingSince: null },
      ...{ headers: {}, auth: null, clientCertificate: null, ed25519: false, publicKeys: [] },
    },
    verification: null,
    secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
    forwardSecret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
  });
  expect(body.secret).not.toBe(body.forwardSecret);
});

test("create takes every field and get answers the same without the secrets", async () => {
  const fields = {
    name: "everything",
    url: URL_A,
    source: "stripe",
    description: "two\nlines",
    events: ["a", "b.*"],
    status: "paused",
    enabled: false,
    secret: "whsec_supplied",
  };
  const { secret, forwardSecret, ...created } = await create(fields);
  const { secret: supplied, ...kept } = fields;
  expect(secret).toBe(supplied);
  expect(forwardSecret).toMatch(/^whsec_/);
  expect(created).toMatchObject(kept);
  const got = await service.api.get(`/webhooks/${created.id}`);
  expect(got.status).toBe(200);
  expect(got.headers.get("content-type")).toBe("application/json");
  expect(got.body).toEqual(created);
  const shouted = await service.api.get(`/webhooks/${created.id.toUpperCase()}`);
  expect(shouted.body).toEqual(created);
});

test.each<[string, object, object]>([
  ["nothing", {}, {}],
  ["the name", { name: " new " }, { name: "new" }],
  ["the url", { url: "https://other.example.com/" }, { url: "https://other.example.com/" }],
  ["the url to null", { url: null }, { url: "RECEIVE" }],
  ['the url to ""', { url: "" }, { url: "RECEIVE" }],
  ["the url to blanks", { url: "  " }, { url: "RECEIVE" }],
  ["the source", { source: "github" }, { source: "github" }],
  ["the source to null", { source: null }, { source: "custom" }],
  ["the description", { description: "new" }, { description: "new" }],
  ["the description to null", { description: null }, { description: null }],
  ['the description to ""', { description: "" }, { description: "" }],
  ["the allowlist", { events: ["x"] }, { events: ["x"] }],
  ["the allowlist to []", { events: [] }, { events: [] }],
  ["the allowlist to null", { events: null }, { events: [] }],
  ["the status", { status: "disabled" }, { status: "disabled", enabled: false }],
  ["enabled", { enabled: false }, { status: "paused", enabled: false }],
  [
    "a nested field",
    { forwarding: { state: "stopped" } },
    { forwarding: expect.objectContaining({ reason: "manual" }) },
  ],
  ["two fields", { name: "n", description: null }, { name: "n", description: null }],
  ["a field by its proto name", { update_mask: undefined, description: "d" }, { description: "d" }],
])("PATCH of %s changes that and nothing else", async (_what, patch, changed) => {
  const settings = { name: "old", url: URL_A, description: "old", events: ["a", "b"] };
  const { secret, forwardSecret, ...before } = await create(settings);
  const patched = await service.api.patch(`/webhooks/${before.id}`, patch);
  expect(patched.status).toBe(200);
  const expected = { ...before, ...changed, updatedAt: patched.body.updatedAt };
  if (expected.url === "RECEIVE") expected.url = before.receiveUrl;
  expect(patched.body).toEqual(expected);
  expect(Date.parse(patched.body.updatedAt)).toBeGreaterThanOrEqual(Date.parse(before.updatedAt));
  expect((await service.api.get(`/webhooks/${before.id}`)).body).toEqual(patched.body);
});

test("a whole answer may be sent back: read-only fields and the secrets just issued are accepted and ignored", async () => {
  const created = await create({ url: null, description: "d", events: ["a"] });
  const lies = { id: UNKNOWN_ID, deliveryCount: 9, lastDeliveryAt: created.createdAt, receiveUrl: "https://x.example" };
  const moreLies = { createdAt: "2001-01-01T00:00:00Z", updatedAt: "2001-01-01T00:00:00Z", forwardSecret: "whsec_x" };
  const { status, body } = await service.api.patch(`/webhooks/${created.id}`, { ...created, ...lies, ...moreLies });
  expect(status).toBe(200);
  const { secret, forwardSecret, ...before } = created;
  expect(body).toEqual({ ...before, updatedAt: body.updatedAt });
  expect(body.updatedAt).not.toBe(moreLies.updatedAt);
  expect(refusal(await service.api.get(`/webhooks/${UNKNOWN_ID}`))).toEqual(notFound);
});

test.each<[string, object, string]>([
  ["an unknown key", { nmae: "x" }, "nmae unknown"],
  ["an unknown nested key", { forwarding: { status: "active" } }, "forwarding.status unknown"],
  ["organizationId, which is no field", { organizationId: UNKNOWN_ID }, "organizationId unknown"],
  ["a name of null", { name: null }, "name required"],
  ["a status of null", { status: null }, "status required"],
  ["an enabled of null", { enabled: null }, "enabled required"],
  ["an unknown forwarding state", { forwarding: { state: "broken" } }, "forwarding.state string.in"],
  ["a number as name", { name: 7 }, "name type"],
  ["a text as enabled", { enabled: "true" }, "enabled type"],
  ["an object as events", { events: {} }, "events type"],
  ["null among the events", { events: ["a", null] }, "events[1] type"],
])("PATCH refuses %s and changes nothing", async (_what, patch, field) => {
  const { secret, forwardSecret, ...before } = await create({ description: "d" });
  const answer = await service.api.patch(`/webhooks/${before.id}`, { description: "changed", ...patch });
  expect(refusal(answer)).toEqual(badRequest(field));
  expect((await service.api.get(`/webhooks/${before.id}`)).body).toEqual(before);
});

test.each(["GET", "PATCH", "DELETE"])(
  "%s of an id that is unknown is NOT_FOUND, of no UUID is BAD_REQUEST",
  async (method) => {
    const body = method === "PATCH" ? { name: "x" } : undefined;
    expect(refusal(await service.api.call(method, `/webhooks/${UNKNOWN_ID}`, body))).toEqual(notFound);
    for (const id of ["1", "not-a-uuid", `${UNKNOWN_ID}0`, `{${UNKNOWN_ID}}`, "%00"]) {
      const [status, code] = refusal(await service.api.call(method, `/webhooks/${id}`, body));
      expect([id, status, code]).toEqual([id, 400, "BAD_REQUEST"]);
    }
  },
);

test("rotate takes an id as the others do", async () => {
  expect(refusal(await service.api.post(`/webhooks/${UNKNOWN_ID}/rotate`))).toEqual(notFound);
  expect(refusal(await service.api.post("/webhooks/1/rotate"))).toEqual(badRequest("id string.uuid"));
});

test("HEAD answers as GET does, without a body", async () => {
  const { id } = await create();
  const head = await service.api.call("HEAD", `/webhooks/${id}`);
  const got = await service.api.get(`/webhooks/${id}`);
  expect([head.status, head.body]).toEqual([200, ""]);
  expect(head.headers.get("content-length")).toBe(got.headers.get("content-length"));
});
