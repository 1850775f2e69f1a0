/** What the REST edge refuses by itself: keys, paths, methods, media types, sizes; and what it says of our own faults. */
import { request as httpRequest } from "node:http";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApi, hubSignature, readAnswer, send } from "../support/api.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, conflict, notFound, refusal, unauthorized } from "./refusal.ts";

const PAYLOAD_BYTES_MAX = 1_000;
const BODY_BYTES_MAX = 16 * 1024 * 1024;

let service: TestService;
let clock: ManualClock;
let webhook: { id: string; receiveUrl: string; secret: string };

beforeAll(async () => {
  clock = new ManualClock();
  service = await startService({ clock, env: { MAX_PAYLOAD_BYTES: String(PAYLOAD_BYTES_MAX) } });
  webhook = (await service.api.post("/webhooks", { name: "w" })).body;
});
afterAll(async () => {
  await service?.stop();
});

describe("UNAUTHORIZED", () => {
  const withHeader = async (authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    return await readAnswer(await fetch(`${service.url}/api/v1/webhooks`, { headers }));
  };

  test.each<[string, (key: string) => string | undefined]>([
    ["no header", () => undefined],
    ["an empty one", () => ""],
    ["the key alone", (key) => key],
    ["another scheme", (key) => `Basic ${Buffer.from(`${key}:`).toString("base64")}`],
    ["no key", () => "Bearer"],
    ["an unknown key", () => `Bearer alm_test_${"0".repeat(32)}`],
    ["the key cut short", (key) => `Bearer ${key.slice(0, -1)}`],
    ["the key with more to it", (key) => `Bearer ${key}0`],
    ["the key's other prefix", (key) => `Bearer ${key.replace("_test_", "_live_")}`],
    ["two keys", (key) => `Bearer ${key}, Bearer ${key}`],
    ["a quote", () => "Bearer alm_test_' or true --"],
    ["only the stored prefix", (key) => `Bearer ${key.slice(0, 12)}`],
  ])("%s", async (_what, header) => {
    expect(refusal(await withHeader(header(service.key)))).toEqual(unauthorized);
  });

  test("the scheme's name has no case", async () => {
    expect((await withHeader(`bearer ${service.key}`)).status).toBe(200);
  });

  test("a key that was revoked or has expired", async () => {
    const revoked = (await service.api.post("/api-keys", { name: "revoked" })).body;
    const expiresAt = new Date(clock.now() + 60_000).toISOString();
    const expired = (await service.api.post("/api-keys", { name: "expired", expiresAt })).body;
    const [first, second] = [createApi(service.url, revoked.key), createApi(service.url, expired.key)];
    expect([(await first.get("/webhooks")).status, (await second.get("/webhooks")).status]).toEqual([200, 200]);
    await service.api.delete(`/api-keys/${revoked.id}`);
    clock.advance(60_000);
    expect(refusal(await first.get("/webhooks"))).toEqual(unauthorized);
    expect(refusal(await second.get("/webhooks"))).toEqual(unauthorized);
  });

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ["malformed JSON", { "content-type": "application/json" }, '{"name":'],
    ["another media type", { "content-type": "text/xml" }, "<name/>"],
    ["another encoding", { "content-type": "application/json", "content-encoding": "br" }, "x"],
    ["no gzip", { "content-type": "application/json", "content-encoding": "gzip" }, "x"],
    ["an unknown key", { "content-type": "application/json" }, '{"x":1}'],
  ])("comes before what is wrong with the body: %s", async (_what, headers, body) => {
    const answer = await readAnswer(await fetch(`${service.url}/api/v1/webhooks`, { method: "POST", headers, body }));
    expect(refusal(answer)).toEqual(unauthorized);
  });

  test("comes before a body that is announced but not sent", async () => {
    expect(await announce("POST", "/api/v1/webhooks", BODY_BYTES_MAX + 1)).toMatchObject({ status: 401 });
    expect(await announce("PATCH", `/api/v1/webhooks/${webhook.id}`, 10)).toMatchObject({ status: 401 });
  });
});

/** The answer to a request that announces a body and never sends it. */
async function announce(method: string, path: string, bytes: number, headers: Record<string, string> = {}) {
  return await new Promise<{ status: number | undefined; code: string }>((resolve, reject) => {
    const request = httpRequest(`${service.url}${path}`, {
      method,
      headers: { "content-type": "application/json", "content-length": bytes, ...headers },
    });
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
        if (!text.endsWith("}")) return;
        resolve({ status: response.statusCode, code: JSON.parse(text).error.code });
        request.off("error", reject).on("error", () => {});
        request.destroy();
      });
    });
    request.flushHeaders();
  });
}

test.each(["", "/", "/webhook", "/webhooks/", "/webhooks//events", "/webhooks/events/x/bodies", "/../healthz", "/v2"])(
  "NOT_FOUND: /api/v1%s",
  async (path) => {
    expect(refusal(await service.api.get(path))).toEqual(notFound);
  },
);

test.each(["/", "/favicon.ico", "/api", "/alumia.webhooks.v1.WebhookService"])(
  "NOT_FOUND outside of the API: %s",
  async (path) => {
    const [status, code] = refusal(await readAnswer(await fetch(`${service.url}${path}`)));
    expect([status, code]).toEqual([404, "NOT_FOUND"]);
  },
);

test.each<[string, string, string]>([
  ["PUT", "/webhooks", "GET, POST, HEAD, OPTIONS"],
  ["DELETE", "/webhooks/events", "GET, HEAD, OPTIONS"],
  ["DELETE", "/webhooks/test", "POST, OPTIONS"],
  ["PATCH", "/webhooks/verify", "POST, OPTIONS"],
  ["GET", "/webhooks/verify", "POST, OPTIONS"],
  ["POST", "/webhooks/00000000-0000-7000-8000-000000000000", "GET, PATCH, DELETE, HEAD, OPTIONS"],
  ["PUT", "/webhooks/00000000-0000-7000-8000-000000000000", "GET, PATCH, DELETE, HEAD, OPTIONS"],
  ["GET", "/webhooks/x/rotate", "POST, OPTIONS"],
  ["POST", "/webhooks/events/x", "GET, HEAD, OPTIONS"],
  ["GET", "/webhooks/events/x/replay", "POST, OPTIONS"],
  ["GET", "/webhooks/deliveries/x/retry", "POST, OPTIONS"],
  ["GET", "/api-keys/x", "DELETE, OPTIONS"],
  ["PATCH", "/api-keys", "GET, POST, HEAD, OPTIONS"],
  ["PUT", "/webhooks/receive/00000000-0000-7000-8000-000000000000", "POST"],
  ["GET", "/webhooks/linear", "POST"],
])("METHOD_NOT_ALLOWED with Allow: %s %s", async (method, path, allow) => {
  const body = method === "GET" ? undefined : {};
  const answer = await service.api.call(method, path, body);
  expect([...refusal(answer), answer.headers.get("allow")]).toEqual([405, "METHOD_NOT_ALLOWED", [], allow]);
});

test("OPTIONS tells the methods", async () => {
  const { status, headers } = await service.api.call("OPTIONS", "/webhooks");
  expect([status, headers.get("allow")]).toEqual([204, "GET, POST, HEAD, OPTIONS"]);
});

test.each<[Readonly<Record<string, string>>, string]>([
  [{ "content-type": "text/plain" }, "{}"],
  [{ "content-type": "application/x-www-form-urlencoded" }, "name=x"],
  [{ "content-type": "application/json-patch+json" }, "[]"],
  [{ "content-encoding": "br" }, "{}"],
])("UNSUPPORTED_MEDIA_TYPE: %j", async (headers, body) => {
  const answer = await service.api.call("POST", "/webhooks", body, headers);
  expect(refusal(answer)).toEqual([415, "UNSUPPORTED_MEDIA_TYPE", []]);
});

test.each(["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])("takes %s", async (type) => {
  expect((await service.api.call("POST", "/webhooks", { name: "w" }, { "content-type": type })).status).toBe(201);
});

test("takes gzip", async () => {
  const response = await fetch(`${service.url}/api/v1/webhooks`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.key}`, "content-type": "application/json", "content-encoding": "gzip" },
    body: new Uint8Array(gzipSync('{"name":"packed"}')),
  });
  expect(await readAnswer(response)).toMatchObject({ status: 201, body: { name: "packed" } });
});

test.each(["{", "[]", '"x"', "null", '{"name":"a","name":"b"}', '{"name":"a"}x', "[".repeat(200), "\u{feff}"])(
  "BAD_REQUEST: the body %s",
  async (body) => {
    const [status, code] = refusal(await service.api.call("POST", "/webhooks", body));
    expect([status, code]).toEqual([400, "BAD_REQUEST"]);
  },
);

test("an empty body is an empty object", async () => {
  expect(refusal(await service.api.call("POST", "/webhooks", ""))).toEqual(badRequest("name string.min_len"));
});

test("PAYLOAD_TOO_LARGE: an API call's body by its announced length", async () => {
  const headers = { authorization: `Bearer ${service.key}` };
  expect(await announce("POST", "/api/v1/webhooks", BODY_BYTES_MAX + 1, headers)).toEqual({
    status: 413,
    code: "PAYLOAD_TOO_LARGE",
  });
});

test("PAYLOAD_TOO_LARGE: what gzip expands to", async () => {
  const response = await fetch(`${service.url}/api/v1/webhooks`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.key}`, "content-type": "application/json", "content-encoding": "gzip" },
    body: new Uint8Array(gzipSync(Buffer.alloc(BODY_BYTES_MAX + 1, " "))),
  });
  expect(refusal(await readAnswer(response))).toEqual([413, "PAYLOAD_TOO_LARGE", []]);
});

describe("on the receive path", () => {
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    send(`${service.url}/api/v1/webhooks/receive/${path}`, body, headers);

  test.each(["x", "", "00000000-0000-7000-8000-000000000000", "00000000-0000-7000-8000-000000000000/x"])(
    "NOT_FOUND: %j",
    async (id) => {
      expect(refusal(await post(id, "{}"))).toEqual(notFound);
    },
  );

  test("UNAUTHORIZED without a signature, FORBIDDEN while disabled", async () => {
    expect(refusal(await post(webhook.id, "{}"))).toEqual(unauthorized);
    expect(refusal(await post(webhook.id, "{}", hubSignature("wrong", "{}")))).toEqual(unauthorized);
    const disabled = (await service.api.post("/webhooks", { name: "d", status: "disabled" })).body;
    const refused = await post(disabled.id, "{}", hubSignature(disabled.secret, "{}"));
    expect(refusal(refused)).toEqual([403, "FORBIDDEN", []]);
    expect((await service.api.get(`/webhooks/${disabled.id}/events`)).body.items).toEqual([]);
  });

  test("PAYLOAD_TOO_LARGE over the cap, by announced and by counted length, and not at the cap", async () => {
    const path = `/api/v1/webhooks/receive/${webhook.id}`;
    expect(await announce("POST", path, PAYLOAD_BYTES_MAX + 1)).toEqual({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    const body = "x".repeat(PAYLOAD_BYTES_MAX + 1);
    const chunked = new Blob([body]).stream();
    const headers = hubSignature(webhook.secret, body);
    const response = await fetch(webhook.receiveUrl, {
      method: "POST",
      body: chunked,
      headers,
      duplex: "half",
    } as RequestInit);
    expect(refusal(await readAnswer(response))).toEqual([413, "PAYLOAD_TOO_LARGE", []]);
    const largest = body.slice(1);
    expect((await post(webhook.id, largest, hubSignature(webhook.secret, largest))).status).toBe(200);
  });
});

test("DEADLINE_EXCEEDED: a caller's own deadline", async () => {
  const late = await service.api.call("GET", "/webhooks", undefined, { "x-server-timeout": "0" });
  expect(refusal(late)).toEqual([504, "DEADLINE_EXCEEDED", []]);
  const wrong = await service.api.call("GET", "/webhooks", undefined, { "x-server-timeout": "soon" });
  expect(refusal(wrong)).toEqual([400, "BAD_REQUEST", []]);
});

test("CONFLICT: the last key cannot revoke itself", async () => {
  const other = await service.otherOrganization();
  const { id } = (await other.get("/api-keys")).body.items[0];
  expect(refusal(await other.delete(`/api-keys/${id}`))).toEqual(conflict);
});

test("INTERNAL: a fault of ours is told without its cause", async () => {
  await service.pool.query("alter table webhook_counters rename to hidden_counters");
  try {
    const answer = await service.api.get("/webhooks");
    expect(answer.body).toEqual({ error: { code: "INTERNAL", message: "internal error", details: [] } });
    expect(answer.status).toBe(500);
  } finally {
    await service.pool.query("alter table hidden_counters rename to webhook_counters");
  }
  expect((await service.api.get("/webhooks")).status).toBe(200);
});
