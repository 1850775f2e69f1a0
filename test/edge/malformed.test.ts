/** Requests that are none, or nearly: each gets its answer, and the service goes on. */
import { connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { exchange, jsonOf, open, statusOf } from "./wire.ts";

const RPC = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
const REST = "/api/v1/webhooks";
const RECEIVE = "/api/v1/webhooks/receive/00000000-0000-7000-8000-000000000000";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

/** After whatever came before, every protocol still answers. */
async function expectAlive(): Promise<void> {
  expect((await service.api.get("/webhooks")).status).toBe(200);
  const headers = { "content-type": "application/json", authorization: `Bearer ${service.key}` };
  expect((await fetch(`${service.url}${RPC}`, { method: "POST", headers, body: "{}" })).status).toBe(200);
}

const head = (line: string, ...headers: string[]) => [line, "Connection: close", ...headers, "", ""].join("\r\n");
const key = () => `Authorization: Bearer ${service.key}`;
const badRequest = { error: { code: "BAD_REQUEST", message: expect.stringMatching(/./), details: [] } };
const anRpc = ["Content-Type: application/json", "Content-Length: 2"];

describe("a Host that makes no URL, or none", () => {
  const hosts: [name: string, version: string, ...headers: string[]][] = [
    ["Host: [", "1.1", "Host: ["],
    ["Host: ]:", "1.1", "Host: ]:"],
    ["a Host with a bad port", "1.1", "Host: x:99999"],
    ["no Host on HTTP/1.0", "1.0"],
    ["Host: [ on HTTP/1.0", "1.0", "Host: ["],
  ];

  test.each(hosts)("%s on an RPC: 400", async (_name, version, ...headers) => {
    const answer = await exchange(
      service.port,
      `${head(`POST ${RPC} HTTP/${version}`, ...headers, key(), ...anRpc)}{}`,
    );
    expect([statusOf(answer), jsonOf(answer)]).toEqual([400, badRequest]);
    await expectAlive();
  });

  test.each([hosts[0], hosts[1], hosts[4]] as typeof hosts)(
    "%s: 400 whatever is asked for",
    async (_name, version, ...headers) => {
      for (const line of [`GET ${REST}`, `POST ${RECEIVE}`, "GET /healthz", "GET /nothing"]) {
        const more = line.startsWith("POST") ? ["Content-Length: 0"] : [];
        const answer = await exchange(service.port, head(`${line} HTTP/${version}`, ...headers, key(), ...more));
        expect([line, statusOf(answer), jsonOf(answer)]).toEqual([line, 400, badRequest]);
      }
      await expectAlive();
    },
  );

  test.each(hosts.slice(2, 4))("%s on REST, receive and health is not needed", async (_name, version, ...headers) => {
    const statuses: Record<string, number | undefined> = {};
    for (const line of [`GET ${REST}`, `POST ${RECEIVE}`, "GET /healthz", "GET /nothing"]) {
      const more = line.startsWith("POST") ? ["Content-Length: 0"] : [];
      const answer = await exchange(service.port, head(`${line} HTTP/${version}`, ...headers, key(), ...more));
      statuses[line] = statusOf(answer);
    }
    expect(statuses).toEqual({
      [`GET ${REST}`]: 200,
      [`POST ${RECEIVE}`]: 404,
      "GET /healthz": 200,
      "GET /nothing": 404,
    });
    await expectAlive();
  });

  test("a receive URL is never made from it", async () => {
    await service.api.post("/webhooks", { name: "w" });
    const answer = await exchange(service.port, head(`GET ${REST}?limit=1 HTTP/1.1`, "Host: a%41", key()));
    expect(jsonOf(answer)).toMatchObject({ items: [{ receiveUrl: expect.stringContaining(`${service.url}/`) }] });
  });

  test("over HTTP/2: 400 for an authority that makes no URL", async () => {
    const session = connect(service.url);
    const stream = session.request({
      ":method": "POST",
      ":path": RPC,
      ":authority": "[",
      "content-type": "application/json",
      authorization: `Bearer ${service.key}`,
    });
    stream.end("{}");
    const status = await new Promise((resolve) => stream.once("response", (headers) => resolve(headers[":status"])));
    expect(status).toBe(400);
    session.close();
    await expectAlive();
  });
});

test.each<[name: string, bytes: string, status: number]>([
  ["no Host on HTTP/1.1", head(`GET ${REST} HTTP/1.1`), 400],
  ["no HTTP", "hello\r\n\r\n", 400],
  ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["an unknown version", head("GET /healthz HTTP/3.0", "Host: x"), 400],
  ["an unknown method", head("FROB /healthz HTTP/1.1", "Host: x"), 400],
  ["a space in a header's name", head("GET /healthz HTTP/1.1", "Host: x", "Bad Name: y"), 400],
  ["a NUL in a header's value", head("GET /healthz HTTP/1.1", "Host: x", "X: a\0b"), 400],
  ["headers over the limit", head("GET /healthz HTTP/1.1", "Host: x", `X: ${"y".repeat(40_000)}`), 431],
  ["a length that is none", head(`POST ${REST} HTTP/1.1`, "Host: x", "Content-Length: ten"), 400],
  ["two lengths", head(`POST ${REST} HTTP/1.1`, "Host: x", "Content-Length: 1", "Content-Length: 2"), 400],
  [
    "a length and chunks",
    head(`POST ${RECEIVE} HTTP/1.1`, "Host: x", "Content-Length: 1", "Transfer-Encoding: chunked"),
    400,
  ],
  ["an expectation that nobody meets", head(`POST ${REST} HTTP/1.1`, "Host: x", "Expect: more"), 417],
  ["a path that is no URL", head("GET // HTTP/1.1", "Host: x"), 404],
  ["a path with a stray percent", head(`GET ${REST}/% HTTP/1.1`, "Host: x"), 400],
  ["OPTIONS *", head("OPTIONS * HTTP/1.1", "Host: x"), 404],
  [
    "an upgrade that is not offered",
    head("GET /healthz HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: h2c"),
    200,
  ],
])("%s", async (_name, bytes, status) => {
  expect(statusOf(await exchange(service.port, bytes))).toBe(status);
  await expectAlive();
});

test.each<[name: string, bytes: string]>([
  ["CONNECT", head("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443")],
  ["a preface and then no frames", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n"],
  ["a preface that goes wrong at its end", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"],
])("%s: the connection is closed", async (_name, bytes) => {
  expect(await exchange(service.port, bytes)).not.toMatch(/^HTTP\/1\.1 [23]/);
  await expectAlive();
});

test.each<[name: string, bytes: string]>([
  ["in the first line", "GET /heal"],
  ["in the headers", "POST /api/v1/webhooks HTTP/1.1\r\nHost: x\r\nCont"],
  ["in a receive's body", `POST ${RECEIVE} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf`],
  [
    "in an RPC's body",
    `POST ${RPC} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`,
  ],
  ["in half a chunk", `POST ${RECEIVE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab`],
  ["in the preface", "PRI * HTTP/2"],
  ["after the preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
])("a connection that is reset %s", async (_where, bytes) => {
  const socket = await open(service.port);
  await new Promise((resolve) => socket.write(bytes, resolve));
  socket.resetAndDestroy();
  await expectAlive();
});

test("an unknown path is 404 in JSON, in either version of HTTP", async () => {
  const expected = { error: { code: "NOT_FOUND", message: expect.stringContaining("/nothing"), details: [] } };
  const answer = await exchange(service.port, head("GET /nothing?x=1 HTTP/1.1", "Host: x"));
  expect([statusOf(answer), jsonOf(answer)]).toEqual([404, expected]);
  const session = connect(service.url);
  const stream = session.request({ ":path": "/nothing" });
  const headers = await new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
  expect(headers).toMatchObject({ ":status": 404, "content-type": "application/json" });
  expect(JSON.parse(Buffer.concat(await stream.toArray()).toString())).toEqual(expected);
  session.close();
});
