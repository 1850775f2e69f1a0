/** What HTTP itself refuses on the path of an RPC (TRANSCODING rows 41 and 42). */
import { once } from "node:events";
import { connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAnswer } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";

const RPC = "/alumia.webhooks.v1.WebhookService";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const TYPES = [
  undefined,
  "application/json",
  "application/proto",
  "application/grpc-web+proto",
  "application/grpc",
] as const;

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

/** Row 41. */
describe.each([
  ["with effects", "CreateWebhook", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"], "POST"],
  ["without side effects", "ListWebhooks", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"], "POST, GET"],
])("an RPC %s", (_what, rpc, verbs, allow) => {
  const cases = verbs.flatMap((verb) => TYPES.map((type) => [verb, type] as const));

  test.each(cases)("%s as %s over HTTP/1.1: 405", async (method, type) => {
    const headers = { authorization: `Bearer ${service.key}`, ...(type && { "content-type": type }) };
    const answer = await readAnswer(await fetch(`${service.url}${RPC}/${rpc}`, { method, headers }));
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
    if (method !== "HEAD") expect(answer.body.error.code).toBe("METHOD_NOT_ALLOWED");
  });

  test.each(cases)("%s as %s over HTTP/2: 405", async (method, type) => {
    const session = connect(service.url);
    const headers = { ":method": method, ":path": `${RPC}/${rpc}`, ...(type && { "content-type": type }) };
    const stream = session.request(headers, { endStream: true });
    const [head] = (await once(stream.resume(), "response")) as [Record<string, unknown>];
    session.destroy();
    expect([head[":status"], head.allow]).toEqual([405, allow]);
  });
});

/** Row 42: both sides would talk at once, which HTTP/1.1 cannot; the connection ends, so that no client waits. */
test.each(["application/connect+json", "application/grpc-web+proto", "application/grpc"])(
  "a stream both ways as %s over HTTP/1.1: 505",
  async (type) => {
    const headers = { "content-type": type };
    const answer = await fetch(`${service.url}${REFLECTION}`, { method: "POST", headers, body: "" });
    expect([answer.status, answer.headers.get("connection")]).toEqual([505, "close"]);
    expect((await readAnswer(answer)).body.error).toMatchObject({
      code: "HTTP_VERSION_NOT_SUPPORTED",
      message: expect.stringMatching(/needs HTTP\/2/),
    });
  },
);

test.each(["WebhookService/ListWebhooks", "EventService/GetEventBody"])(
  "gRPC needs HTTP/2: %s over HTTP/1.1 is 505",
  async (rpc) => {
    const headers = { "content-type": "application/grpc+proto", authorization: `Bearer ${service.key}` };
    const url = `${service.url}/alumia.webhooks.v1.${rpc}`;
    const answer = await fetch(url, { method: "POST", headers, body: Buffer.alloc(5) });
    expect([answer.status, answer.headers.get("connection")]).toEqual([505, "close"]);
    expect((await readAnswer(answer)).body.error.message).toMatch(/^gRPC needs HTTP\/2/);
  },
);

test.each([
  ["WebhookService/ListWebhooks", "text/plain", "application/json, application/proto"],
  ["WebhookService/ListWebhooks", "application/connect+json", "application/json, application/proto"],
  ["EventService/GetEventBody", "application/json", "application/connect+json, application/connect+proto"],
])("%s as %s: 415 that says what is taken", async (rpc, type, taken) => {
  const headers = { "content-type": type, authorization: `Bearer ${service.key}` };
  const url = `${service.url}/alumia.webhooks.v1.${rpc}`;
  const answer = await readAnswer(await fetch(url, { method: "POST", headers, body: "{}" }));
  expect([answer.status, answer.body.error.code]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
  expect(answer.body.error.message).toContain(taken);
});

describe("an encoding that is not known is UNIMPLEMENTED, and the answer names the one that is", () => {
  test.each([
    ["WebhookService/ListWebhooks", "application/grpc"],
    ["EventService/GetEventBody", "application/grpc+proto"],
    ["WebhookService/ListWebhooks", "application/grpc-web+proto"],
  ])("%s as %s", async (rpc, type) => {
    const session = connect(service.url);
    const stream = session.request({
      ":method": "POST",
      ":path": `/alumia.webhooks.v1.${rpc}`,
      "content-type": type,
      "grpc-encoding": "br",
    });
    stream.end(Buffer.alloc(5));
    const [head] = (await once(stream.resume(), "response")) as [Record<string, unknown>];
    session.close();
    expect(head).toMatchObject({
      ":status": 200,
      "grpc-status": "12",
      "grpc-message": 'unknown compression "br": supported encodings are gzip',
      "grpc-accept-encoding": "gzip",
      "grpc-status-details-bin": expect.any(String),
    });
  });

  test("Connect, unary and streaming", async () => {
    const post = (rpc: string, headers: Record<string, string>) =>
      fetch(`${service.url}/alumia.webhooks.v1.${rpc}`, { method: "POST", headers, body: "{}" });
    const message = 'unknown compression "br": supported encodings are gzip';
    const details = [{ type: "google.rpc.ErrorInfo" }];
    const error = { code: "unimplemented", message, details };
    const unary = await post("WebhookService/ListWebhooks", {
      "content-type": "application/json",
      "content-encoding": "br",
    });
    expect([unary.status, unary.headers.get("accept-encoding")]).toEqual([501, "gzip"]);
    expect(await unary.json()).toMatchObject(error);
    const streaming = await post("EventService/GetEventBody", {
      "content-type": "application/connect+json",
      "connect-content-encoding": "br",
    });
    expect([streaming.status, streaming.headers.get("connect-accept-encoding")]).toEqual([200, "gzip"]);
    expect(JSON.parse((await streaming.text()).slice(5)).error).toMatchObject(error);
  });
});
