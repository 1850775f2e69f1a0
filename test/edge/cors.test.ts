/** Which pages of other origins may call: preflights, and what the answers of every protocol carry. */
import { once } from "node:events";
import { connect } from "node:http2";
import { cors } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { startService, type TestService } from "../support/service.ts";

const ALLOWED = "https://dash.example.com";
const RPC = "/alumia.webhooks.v1.WebhookService";
const UNKNOWN_ID = "01890000-0000-7000-8000-000000000000";

let database: TestDatabase;
let proxy: PostgresProxy;
let service: TestService;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startPostgresProxy(database.url);
  const env = { CORS_ORIGINS: `${ALLOWED}, http://localhost:3000`, MAX_PAYLOAD_BYTES: "1000" };
  service = await startService({ replicaOf: { databaseUrl: proxy.url } as TestService, env });
});
afterAll(async () => {
  await service?.stop();
  await proxy?.close();
  await database?.drop();
});

interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Seen {
  readonly status: number;
  /** The CORS headers, and Vary. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Node's fetch keeps `origin` as it is given, unlike a browser's. */
async function overHttp1({ method, path, headers = {}, body }: Call, url = service.url): Promise<Seen> {
  const answer = await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
  await answer.arrayBuffer();
  return { status: answer.status, headers: corsHeaders([...answer.headers]) };
}

async function overHttp2({ method, path, headers = {}, body }: Call, url = service.url): Promise<Seen> {
  const session = connect(url);
  const stream = session.request({ ":method": method, ":path": path, ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [head] = (await once(stream.resume(), "response")) as [Record<string, string | number>];
  session.destroy();
  return { status: Number(head[":status"]), headers: corsHeaders(Object.entries(head)) };
}

const corsHeaders = (headers: readonly (readonly [string, string | number | string[]])[]): Record<string, string> =>
  Object.fromEntries(
    headers.filter(([name]) => /^(access-control-.*|vary)$/.test(name)).map(([name, value]) => [name, String(value)]),
  );

const exposed = [...cors.exposedHeaders.map((it) => it.toLowerCase()), "allow", "retry-after"].join(", ");
/** On every answer to a page of the origin. */
const forPage = (origin: string) => ({
  "access-control-allow-origin": origin,
  "access-control-expose-headers": exposed,
  vary: "origin",
});

const json = { "content-type": "application/json" };
const auth = () => ({ authorization: `Bearer ${service.key}` });

/** Answers of every kind, early errors among them. */
const CALLS: readonly [what: string, status: number, call: () => Call][] = [
  ["REST", 200, () => ({ method: "GET", path: "/api/v1/webhooks", headers: auth() })],
  ["REST without a key", 401, () => ({ method: "GET", path: "/api/v1/webhooks" })],
  ["REST, nothing there", 404, () => ({ method: "GET", path: `/api/v1/webhooks/${UNKNOWN_ID}`, headers: auth() })],
  ["REST, no such path", 404, () => ({ method: "GET", path: "/api/v2", headers: auth() })],
  ["REST, another method", 405, () => ({ method: "PUT", path: "/api/v1/webhooks", headers: auth() })],
  [
    "REST, another type",
    415,
    () => ({
      method: "POST",
      path: "/api/v1/webhooks",
      headers: { ...auth(), "content-type": "text/plain" },
      body: "x",
    }),
  ],
  [
    "REST, too large",
    413,
    () => ({
      method: "POST",
      path: "/api/v1/webhooks",
      headers: { ...auth(), ...json },
      body: "x".repeat(LIMITS.apiBodyBytesMax + 1),
    }),
  ],
  [
    "Connect",
    200,
    () => ({ method: "POST", path: `${RPC}/ListWebhooks`, headers: { ...auth(), ...json }, body: "{}" }),
  ],
  ["Connect without a key", 401, () => ({ method: "POST", path: `${RPC}/ListWebhooks`, headers: json, body: "{}" })],
  [
    "Connect GET",
    200,
    () => ({
      method: "GET",
      path: `${RPC}/ListWebhooks?connect=v1&encoding=json&message=${encodeURIComponent("{}")}`,
      headers: auth(),
    }),
  ],
  ["Connect GET of what has effects", 405, () => ({ method: "GET", path: `${RPC}/CreateWebhook`, headers: auth() })],
  ["Connect, no such RPC", 501, () => ({ method: "POST", path: `${RPC}/Nothing`, headers: json, body: "{}" })],
  [
    "a Connect stream",
    200,
    () => ({
      method: "POST",
      path: "/alumia.webhooks.v1.EventService/GetEventBody",
      headers: { ...auth(), "content-type": "application/connect+json" },
      body: "\0\0\0\0\x02{}",
    }),
  ],
  [
    "gRPC-Web",
    200,
    () => ({
      method: "POST",
      path: `${RPC}/ListWebhooks`,
      headers: { ...auth(), "content-type": "application/grpc-web+proto" },
      body: "\0\0\0\0\0",
    }),
  ],
  [
    "gRPC-Web, no such RPC",
    200,
    () => ({
      method: "POST",
      path: `${RPC}/Nothing`,
      headers: { "content-type": "application/grpc-web+proto" },
      body: "\0\0\0\0\0",
    }),
  ],
  ["health over HTTP", 200, () => ({ method: "GET", path: "/healthz" })],
];

describe.each([
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
])("%s", (_version, send) => {
  test.each(CALLS)(
    "%s (%i) may be read by a page of an allowed origin, and of no other",
    async (_what, status, make) => {
      const call = make();
      const withOrigin = (origin: string) => send({ ...call, headers: { ...call.headers, origin } });
      expect(await withOrigin(ALLOWED)).toEqual({ status, headers: forPage(ALLOWED) });
      expect(await withOrigin("https://evil.example.com")).toEqual({ status, headers: { vary: "origin" } });
      expect(await send(call)).toEqual({ status, headers: { vary: "origin" } });
    },
  );

  test("an outage (503) may be read as well", async () => {
    proxy.cut();
    const call = { method: "GET", path: "/api/v1/webhooks", headers: { ...auth(), origin: ALLOWED } };
    expect(await send(call)).toEqual({ status: 503, headers: forPage(ALLOWED) });
    proxy.restore();
  });

  const ask = (path: string, origin: string, method = "POST") =>
    send({
      method: "OPTIONS",
      path,
      headers: { origin, "access-control-request-method": method, "access-control-request-headers": "authorization" },
    });

  test.each([`${RPC}/ListWebhooks`, "/api/v1/webhooks", "/api/v1/nothing", "/nothing"])(
    "a preflight of %s is answered for every method and header of the API",
    async (path) => {
      expect(await ask(path, "http://localhost:3000", "PATCH")).toEqual({
        status: 204,
        headers: {
          "access-control-allow-origin": "http://localhost:3000",
          "access-control-allow-methods": "POST, GET, PATCH, DELETE",
          "access-control-allow-headers": [
            ...cors.allowedHeaders.map((it) => it.toLowerCase()),
            "authorization",
            "x-server-timeout",
          ].join(", "),
          "access-control-max-age": "7200",
          vary: "origin",
        },
      });
    },
  );

  test.each(["https://evil.example.com", "https://dash.example.com.evil.example", "http://dash.example.com", "null"])(
    "a preflight of %s allows nothing",
    async (origin) => {
      expect(await ask("/api/v1/webhooks", origin)).toEqual({ status: 204, headers: { vary: "origin" } });
      expect(await ask(`${RPC}/ListWebhooks`, origin)).toEqual({ status: 405, headers: { vary: "origin" } });
    },
  );

  test("the receive path has no CORS", async () => {
    const path = `/api/v1/webhooks/receive/${UNKNOWN_ID}`;
    const headers = { origin: ALLOWED };
    expect(await send({ method: "POST", path, headers, body: "{}" })).toMatchObject({ headers: {} });
    expect(await ask(path, ALLOWED)).toEqual({ status: 405, headers: {} });
  });
});

test.each([
  ["every origin with CORS_ORIGINS=*", { CORS_ORIGINS: "*" }, forPage("*")],
  ["no origin by default", {}, {}],
])("%s", async (_what, env, headers) => {
  const other = await startService({ env });
  const call = { method: "GET", path: "/api/v1/webhooks", headers: { origin: "https://any.example.com" } };
  expect(await overHttp1(call, other.url)).toEqual({ status: 401, headers });
  await other.stop();
});
