/** The text of refusals as clients read it, and calls of what is not served, in each protocol. */
import { once } from "node:events";
import { connect, constants } from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { encodeGrpcMessage, withoutNeedlessEscapes } from "../../src/grpc/message.ts";
import { readAnswer } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { TRANSPORTS } from "./connect-clients.ts";
import { createGrpcClient, type GrpcClient, grpcRefusal } from "./grpc-client.ts";

let service: TestService;
let client: GrpcClient;

beforeAll(async () => {
  service = await startService();
  client = createGrpcClient(service.port, service.key);
});
afterAll(async () => {
  client?.close();
  await service?.stop();
});

test.each<[message: string, spelled: string]>([
  ["", ""],
  ["limit: must be 1, 2 or 3/4?", "limit: must be 1, 2 or 3/4?"],
  [" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~", " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"],
  ["100%", "100%25"],
  ["%3A", "%253A"],
  ["é€😀", "%C3%A9%E2%82%AC%F0%9F%98%80"],
  ["a\r\n\t\0\x1f\x7f", "a%0D%0A%09%00%1F%7F"],
  ["\ud800", "%EF%BF%BD"],
])("%j is spelled %j", (message, spelled) => {
  expect(encodeGrpcMessage(message)).toBe(spelled);
  expect(withoutNeedlessEscapes(encodeURIComponent(message.toWellFormed()))).toBe(spelled);
  expect(withoutNeedlessEscapes(spelled)).toBe(spelled);
});

test("the text of refusals is that of grpc-status-details-bin, letter by letter", async () => {
  const invalid = await grpcRefusal(client.unary("WebhookService/ListWebhooks", { limit: 0 }));
  expect(invalid.message).toBe("limit: must be greater than or equal to 1 and less than or equal to 100");
  const anonymous = await grpcRefusal(client.unary("WebhookService/ListWebhooks", {}, { authorized: false }));
  expect(anonymous.message).toBe("send an API key: Authorization: Bearer alm_live_…");
});

const UNKNOWN = ["/alumia.webhooks.v1.WebhookService/Nothing", "/grpc.Nothing/At", "/a.b.C/D"];

describe("what is not served", () => {
  const post = (path: string, type: string, body = "{}") =>
    fetch(`${service.url}${path}`, { method: "POST", headers: { "content-type": type }, body });

  test.each([...UNKNOWN, "/Nothing/At", "/a%20b"])("gRPC %s: UNIMPLEMENTED, and the channel goes on", async (path) => {
    expect(await grpcRefusal(client.raw(path))).toEqual({
      code: "UNIMPLEMENTED",
      message: `no RPC is served at ${path}`,
      info: "webhooks.alumia UNIMPLEMENTED",
      violations: [],
    });
    expect(await client.unary("WebhookService/ListWebhooks", {})).toEqual({});
  });

  test("gRPC: all in one HEADERS frame, and a body that never ends is let go", async () => {
    const session = connect(service.url);
    const stream = session.request({
      ":method": "POST",
      ":path": "/a.b.C/D",
      "content-type": "application/grpc+proto",
    });
    stream.write("unending");
    const [headers, flags] = await once(stream, "response");
    expect(headers).toMatchObject({
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": "12",
      "grpc-message": "no RPC is served at /a.b.C/D",
    });
    expect(flags & constants.NGHTTP2_FLAG_END_STREAM).not.toBe(0);
    await once(stream.resume(), "close");
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    session.close();
  });

  test.each(["application/json", "application/json; charset=utf-8", "application/proto"])(
    "Connect, %s: HTTP 501",
    async (type) => {
      for (const path of UNKNOWN) {
        const answer = await post(path, type);
        expect([answer.status, answer.headers.get("content-type")]).toEqual([501, "application/json"]);
        const { code, message, details } = (await readAnswer(answer)).body;
        expect([code, message]).toEqual(["unimplemented", `no RPC is served at ${path}`]);
        expect(details).toMatchObject([{ type: "google.rpc.ErrorInfo" }]);
      }
    },
  );

  const renamed = (path: string) => (input: Parameters<typeof fetch>[0], init?: RequestInit) =>
    fetch(String(input).replace(/\/alumia\..*$/, path), init);
  const refusalOf = async (call: Promise<unknown>) => {
    const error = await call.then(() => undefined, ConnectError.from);
    return [error?.code, error?.rawMessage, error?.findDetails(ErrorInfoSchema)[0]?.reason];
  };

  test.each(Object.entries(TRANSPORTS))("%s clients are told so, unary and streaming", async (_name, make) => {
    for (const path of UNKNOWN) {
      const transport = make({ url: service.url, key: service.key, fetch: renamed(path) });
      const unary = createClient(WebhookService, transport).listWebhooks({});
      const stream = Array.fromAsync(createClient(EventService, transport).getEventBody({}));
      const expected = [Code.Unimplemented, `no RPC is served at ${path}`, "UNIMPLEMENTED"];
      expect([await refusalOf(unary), await refusalOf(stream)]).toEqual([expected, expected]);
    }
  });

  test.each<[path: string, type: string]>([
    ["/nothing", "application/json"],
    ["/nothing/at", "application/json"],
    ["/a.b.C/D/", "application/json"],
    ["/a..C/D", "application/json"],
    ["/a.b.C/D", "text/plain"],
    ["/a.b.C/D", "application/grpcx"],
  ])("a POST to %s of %s is none of an RPC: NOT_FOUND as in REST", async (path, type) => {
    const answer = await post(path, type);
    expect(answer.status).toBe(404);
    const error = { code: "NOT_FOUND", message: `nothing is served at ${path}`, details: [] };
    expect(await answer.json()).toEqual({ error });
  });

  test("nor is a GET", async () => {
    expect((await fetch(`${service.url}/a.b.C/D`, { headers: { "content-type": "application/json" } })).status).toBe(
      404,
    );
  });
});
