/** What each field of a webhook takes and refuses, on create and on update alike. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, refusal } from "./refusal.ts";

let service: TestService;
let webhookId: string;

beforeAll(async () => {
  service = await startService({ env: { ALLOWED_PRIVATE_CIDRS: "" } });
  webhookId = (await service.api.post("/webhooks", { name: "patched" })).body.id;
});
afterAll(async () => {
  await service?.stop();
});

const text = (length: number) => "é".repeat(length);

test.each<[string, object, string]>([
  ["a blank name", { name: "   " }, "name required"],
  ["an empty name", { name: "" }, "name string.min_len"],
  ["a name of 121 characters", { name: text(121) }, "name string.max_len"],
  ["a name with NUL", { name: "a\0b" }, "name text.nul"],
  ["a source of 101 characters", { source: text(101) }, "source string.max_len"],
  ["a description of 2001 characters", { description: text(2001) }, "description string.max_len"],
  ["a description with NUL", { description: "\0" }, "description text.nul"],
  ["201 events", { events: Array.from({ length: 201 }, (_, n) => `e${n}`) }, "events repeated.max_items"],
  ["an event of 201 characters", { events: ["a", text(201)] }, "events[1] string.max_len"],
  ["a pattern that matches no event", { events: ["a", "b*"] }, "events[1] pattern"],
  ["an unknown status", { status: "Active" }, "status string.in"],
  ["an empty status", { status: "" }, "status string.in"],
  ["enabled with paused", { status: "paused", enabled: true }, "enabled contradiction"],
  ["enabled with disabled", { status: "disabled", enabled: true }, "enabled contradiction"],
  ["not enabled with active", { status: "active", enabled: false }, "enabled contradiction"],
  ["a url that is none", { url: "consumer" }, "url url.invalid"],
  ["a url of another scheme", { url: "ftp://consumer.example.com/" }, "url url.scheme"],
  ["a url with userinfo", { url: "https://a:b@consumer.example.com/" }, "url url.userinfo"],
  ["a url without a public name", { url: "http://hooks.invalid/" }, "url url.reserved_name"],
  ["a private address", { url: "http://10.0.0.1/" }, "url url.private_address"],
  ["the metadata address", { url: "http://169.254.169.254/latest" }, "url url.private_address"],
  ["a url of 2049 characters", { url: `https://a.example.com/${"x".repeat(2027)}` }, "url string.max_len"],
  [
    "another webhook's path on a private host",
    { url: "http://10.0.0.1/api/v1/webhooks/receive/x" },
    "url url.private_address",
  ],
  ["a secret for an empty text", { secret: "" }, "secret string.min_len"],
])("refuses %s", async (_what, fields, field) => {
  const created = await service.api.post("/webhooks", { name: "w", ...fields });
  expect(refusal(created)).toEqual(badRequest(field));
  expect(refusal(await service.api.patch(`/webhooks/${webhookId}`, fields))).toEqual(badRequest(field));
});

test("every refused field is named at once", async () => {
  const answer = await service.api.post("/webhooks", { name: "", status: "off", description: text(2001) });
  const fields = refusal(answer)[2];
  expect([...fields].sort()).toEqual(["description string.max_len", "name string.min_len", "status string.in"]);
});

test.each<[string, object, object]>([
  ["the longest texts", { name: text(120), source: text(100), description: text(2000) }, {}],
  ["a source of blanks as the default", { source: "  " }, { source: "custom" }],
  ["an unknown source as it is", { source: "My Partner" }, {}],
  ["200 events", { events: Array.from({ length: 200 }, (_, n) => `e${n}`) }, {}],
  ["events to be normalized", { events: [" b ", "", "a", "b", "\t", "a.*", "*"] }, { events: ["b", "a", "a.*", "*"] }],
  ["http", { url: "http://consumer.example.com:8080/a?b=c" }, {}],
  ["a url with blanks around it", { url: " https://consumer.example.com/ " }, { url: "https://consumer.example.com/" }],
  ["status and enabled that agree", { status: "active", enabled: true }, {}],
  ["paused and not enabled", { status: "paused", enabled: false }, {}],
  ["disabled and not enabled", { status: "disabled", enabled: false }, {}],
])("takes %s", async (_what, fields, kept) => {
  const created = await service.api.post("/webhooks", { name: "w", ...fields });
  expect(created).toMatchObject({ status: 201, body: { ...fields, ...kept } });
  const { id } = (await service.api.post("/webhooks", { name: "w" })).body;
  const patched = await service.api.patch(`/webhooks/${id}`, fields);
  expect(patched).toMatchObject({ status: 200, body: { ...fields, ...kept } });
});

describe("status and enabled", () => {
  test.each<[object, string]>([
    [{}, "active"],
    [{ enabled: true }, "active"],
    [{ enabled: false }, "paused"],
    [{ status: "disabled" }, "disabled"],
    [{ status: null, enabled: null }, "active"],
  ])("create with %j is %s", async (fields, status) => {
    const { body } = await service.api.post("/webhooks", { name: "w", ...fields });
    expect([body.status, body.enabled]).toEqual([status, status === "active"]);
  });

  test.each<[string, object, string]>([
    ["active", { enabled: false }, "paused"],
    ["active", { enabled: true }, "active"],
    ["paused", { enabled: false }, "paused"],
    ["paused", { enabled: true }, "active"],
    ["disabled", { enabled: false }, "disabled"],
    ["disabled", { enabled: true }, "active"],
    ["disabled", { status: "paused", enabled: false }, "paused"],
    ["active", { status: "disabled" }, "disabled"],
  ])("from %s, %j makes it %s", async (before, patch, after) => {
    const { id } = (await service.api.post("/webhooks", { name: "w", status: before })).body;
    const { body } = await service.api.patch(`/webhooks/${id}`, patch);
    expect([body.status, body.enabled]).toEqual([after, after === "active"]);
  });
});

describe("a url with the webhook's own receive path means no forwarding, whatever its host", () => {
  const path = "/api/v1/webhooks/receive/";

  test.each<[string, (id: string) => string]>([
    ["its own", (id) => `${service.url}${path}${id}`],
    ["a public one", (id) => `https://hooks.example.com${path}${id}`],
    ["localhost", (id) => `http://localhost:1${path}${id}`],
    ["a private one, with a query", (id) => `http://10.0.0.1${path}${id}?x=1`],
    ["a public one, the id in upper case", (id) => `https://hooks.example.com${path}${id.toUpperCase()}`],
  ])("%s", async (_host, urlOf) => {
    const { body } = await service.api.post("/webhooks", { name: "w", url: "https://consumer.example.com/" });
    const patched = await service.api.patch(`/webhooks/${body.id}`, { url: urlOf(body.id) });
    expect(patched).toMatchObject({ status: 200, body: { url: body.receiveUrl } });
    const { rows } = await service.pool.query("select url from webhooks where id = $1", [body.id]);
    expect(rows).toEqual([{ url: null }]);
  });

  test("another webhook's receive path on a public host is a destination like any other", async () => {
    const url = `https://hooks.example.com/api/v1/webhooks/receive/${webhookId}`;
    expect((await service.api.post("/webhooks", { name: "w", url })).body.url).toBe(url);
  });
});
