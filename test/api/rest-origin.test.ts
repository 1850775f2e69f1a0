/** receiveUrl follows the caller's way in; health; and what an unreachable store answers. */
import { request as httpRequest } from "node:http";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { hubSignature, readAnswer, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { refusal } from "./refusal.ts";

let plain: TestService;
let proxied: TestService;
let named: TestService;

beforeAll(async () => {
  plain = await startService();
  proxied = await startService({ replicaOf: plain, env: { TRUSTED_PROXY_CIDRS: "127.0.0.0/8" } });
  named = await startService({
    replicaOf: plain,
    env: { PUBLIC_URL: "https://hooks.example.com", TRUSTED_PROXY_CIDRS: "127.0.0.0/8" },
  });
});
afterAll(async () => {
  await named?.stop();
  await proxied?.stop();
  await plain?.stop();
});

/** The origins of the receiveUrl and the url that a new webhook shows; with fetch, Host cannot be chosen. */
async function origins(service: TestService, headers: Readonly<Record<string, string>>): Promise<string[]> {
  const body = '{"name":"w"}';
  const answer = await new Promise<{ id: string; receiveUrl: string; url: string }>((resolve, reject) => {
    const request = httpRequest(`${service.url}/api/v1/webhooks`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${service.key}`,
        "content-type": "application/json",
        "content-length": body.length,
        ...headers,
      },
    });
    request.on("error", reject);
    request.on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve(JSON.parse(text));
    });
    request.end(body);
  });
  const path = `/api/v1/webhooks/receive/${answer.id}`;
  expect([answer.url, answer.receiveUrl.endsWith(path)]).toEqual([answer.receiveUrl, true]);
  return [answer.receiveUrl.slice(0, -path.length)];
}

const FORWARDED = { "x-forwarded-host": "in.example.com", "x-forwarded-proto": "https" };

test.each<[string, () => TestService, Readonly<Record<string, string>>, string]>([
  ["the Host", () => plain, { host: "hooks.test:8443" }, "http://hooks.test:8443"],
  ["an IPv6 Host", () => plain, { host: "[::1]:81" }, "http://[::1]:81"],
  ["no X-Forwarded-* of just anybody", () => plain, { host: "a.test", ...FORWARDED }, "http://a.test"],
  ["X-Forwarded-* of a trusted proxy", () => proxied, { host: "a.test", ...FORWARDED }, "https://in.example.com"],
  ["the Host where the proxy says nothing", () => proxied, { host: "a.test" }, "http://a.test"],
  [
    "the value that the nearest proxy wrote",
    () => proxied,
    { "x-forwarded-host": "forged.example.com, in.example.com", "x-forwarded-proto": "http, https" },
    "https://in.example.com",
  ],
  ["PUBLIC_URL before all", () => named, { host: "a.test", ...FORWARDED }, "https://hooks.example.com"],
])("receiveUrl begins with %s", async (_what, service, headers, origin) => {
  expect(await origins(service(), headers)).toEqual([origin]);
});

test.each(["a b", "a.test/path", "a@b", "<script>", "[::1", "a.test:port"])(
  "a forwarded Host that is none (%s) never stands in a receiveUrl",
  async (host) => {
    expect(await origins(proxied, { "x-forwarded-host": host, host: "a.test" })).toEqual([proxied.url]);
  },
);

test.each(["a%41", "", "a.test:", "a,b"])(
  "a Host that makes no origin (%j) never stands in a receiveUrl",
  async (host) => {
    expect(await origins(plain, { host })).toEqual([plain.url]);
  },
);

test("the receiveUrl that is shown receives", async () => {
  const { receiveUrl, secret } = (await plain.api.post("/webhooks", { name: "w" })).body;
  expect((await send(receiveUrl, "{}", hubSignature(secret, "{}"))).status).toBe(200);
});

const at = async (path: string, method = "GET") => await readAnswer(await fetch(`${plain.url}${path}`, { method }));

describe("health, without a key", () => {
  test("answers while all is well", async () => {
    expect(await at("/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
    const checks = { store: true, delivery: true };
    expect(await at("/readyz")).toMatchObject({ status: 200, body: { status: "ready", checks } });
  });

  test.each(["/healthz", "/readyz"])("%s takes GET and HEAD", async (path) => {
    expect(await at(path, "HEAD")).toMatchObject({ status: 200, body: "" });
    const refused = await at(path, "POST");
    expect([...refusal(refused), refused.headers.get("allow")]).toEqual([405, "METHOD_NOT_ALLOWED", [], "GET, HEAD"]);
  });
});

test("an unreachable store: not ready, SERVICE_UNAVAILABLE with Retry-After, and well again afterwards", async () => {
  const service = await startService();
  const database = new URL(service.databaseUrl).pathname.slice(1);
  const admin = new Client({ connectionString: inject("postgres").url });
  await admin.connect();
  try {
    const { receiveUrl, secret } = (await service.api.post("/webhooks", { name: "w" })).body;
    await admin.query(`alter database ${database} with allow_connections false`);
    await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [database]);
    const ready = async () => await readAnswer(await fetch(`${service.url}/readyz`));
    await eventually("not ready", async () => (await ready()).status === 503);
    expect((await ready()).body).toMatchObject({ status: "not ready", checks: { store: false } });
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200);
    const answers = [
      await send(receiveUrl, "{}", hubSignature(secret, "{}")),
      await service.api.get("/webhooks"),
      await service.api.post("/webhooks", { name: "w" }),
    ];
    for (const answer of answers) {
      expect(refusal(answer)).toEqual([503, "SERVICE_UNAVAILABLE", []]);
      expect(answer.headers.get("retry-after")).toBe("1");
      expect(answer.body.error.message).not.toMatch(/database|postgres|connect/i);
    }
    await admin.query(`alter database ${database} with allow_connections true`);
    await eventually("ready again", async () => (await ready()).status === 200);
    expect((await send(receiveUrl, "{}", hubSignature(secret, "{}"))).status).toBe(200);
  } finally {
    await admin.query(`alter database ${database} with allow_connections true`);
    await admin.end();
    await service.stop();
  }
});
