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
  },
);
