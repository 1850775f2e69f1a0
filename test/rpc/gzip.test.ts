/** gzip in both directions, for gRPC, gRPC-Web and Connect. */
import { connect } from "node:http2";
import { buffer } from "node:stream/consumers";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  CreateWebhookRequestSchema,
  CreateWebhookResponseSchema,
} from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { startService, type TestService } from "../support/service.ts";
import { createGrpcClient, grpcRefusal } from "./grpc-client.ts";

const PATH = "/alumia.webhooks.v1.WebhookService/CreateWebhook";
/** Large enough that an answer is worth compressing. */
const DESCRIPTION = "compresses well ".repeat(100);
const COMPRESSED = 1;

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

const request = () =>
  toBinary(CreateWebhookRequestSchema, create(CreateWebhookRequestSchema, { name: "w", description: DESCRIPTION }));

/** One gzipped message in the framing of gRPC and gRPC-Web. */
function compressedFrame(): Buffer<ArrayBuffer> {
  const bytes = gzipSync(request());
  const head = Buffer.alloc(5);
  head.writeUInt8(COMPRESSED);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Reads the first frame of an answer, which must be compressed. */
function readCompressed(answer: Buffer): string | undefined {
  expect(answer.readUInt8(0)).toBe(COMPRESSED);
  const message = gunzipSync(answer.subarray(5, 5 + answer.readUInt32BE(1)));
  return fromBinary(CreateWebhookResponseSchema, message).webhook?.description;
}

test("gRPC", async () => {
  const session = connect(service.url);
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-encoding": "gzip",
    "grpc-accept-encoding": "gzip",
    authorization: `Bearer ${service.key}`,
  });
  const encoding = new Promise((resolve) => stream.once("response", (headers) => resolve(headers["grpc-encoding"])));
  stream.end(compressedFrame());
  const answer = await buffer(stream);
  expect([await encoding, readCompressed(answer)]).toEqual(["gzip", DESCRIPTION]);
  session.close();
});

test("gRPC with a stock client", async () => {
  const client = createGrpcClient(service.port, service.key, { "grpc.default_compression_algorithm": 2 });
  const { webhook } = await client.unary("WebhookService/CreateWebhook", { name: "w", description: DESCRIPTION });
  expect(webhook.description).toBe(DESCRIPTION);
  client.close();
});

test("gRPC-Web", async () => {
  const response = await fetch(`${service.url}${PATH}`, {
    method: "POST",
    headers: {
      "content-type": "application/grpc-web+proto",
      "grpc-encoding": "gzip",
      "grpc-accept-encoding": "gzip",
      authorization: `Bearer ${service.key}`,
    },
    body: compressedFrame(),
  });
  expect(response.headers.get("grpc-encoding")).toBe("gzip");
  expect(readCompressed(Buffer.from(await response.arrayBuffer()))).toBe(DESCRIPTION);
});

test("Connect", async () => {
  const response = await fetch(`${service.url}${PATH}`, {
    method: "POST",
    headers: {
      "content-type": "application/proto",
      "content-encoding": "gzip",
      "accept-encoding": "gzip",
      authorization: `Bearer ${service.key}`,
    },
    body: new Uint8Array(gzipSync(request())),
  });
  expect(response.headers.get("content-encoding")).toBe("gzip");
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect(fromBinary(CreateWebhookResponseSchema, bytes).webhook?.description).toBe(DESCRIPTION);
});

test("an encoding that is not taken is UNIMPLEMENTED", async () => {
  const client = createGrpcClient(service.port, service.key, { "grpc.default_compression_algorithm": 1 });
  const refusal = await grpcRefusal(client.unary("WebhookService/ListWebhooks", {}));
  expect(refusal).toMatchObject({ code: "UNIMPLEMENTED", message: expect.stringContaining("gzip") });
  client.close();
});
