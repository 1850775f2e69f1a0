/** What the headers of a call settle: content type, encodings, and which metadata a service may set. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionGzip as gzip } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { GetWebhookRequestSchema } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { createCodecs } from "../../src/grpc/codec.ts";
import { negotiate } from "../../src/grpc/compression.ts";
import { metadataOf, statusOf } from "../../src/grpc/status.ts";

const codecOf = createCodecs((bytes) => Buffer.from(bytes).toString());

test.each([
  ["application/grpc", "application/grpc+proto"],
  ["application/grpc+proto", "application/grpc+proto"],
  ["APPLICATION/GRPC", "application/grpc+proto"],
  ["application/grpc+json", "application/grpc+json"],
  ["application/grpc+json; charset=utf-8", "application/grpc+json"],
  ["application/grpc-web", undefined],
  ["application/grpc-web+proto", undefined],
  ["application/grpc+thrift", undefined],
  ["application/json", undefined],
  ["", undefined],
  [undefined, undefined],
])("content type %s is answered with %s", (type, answered) => {
  expect(codecOf(type)?.contentType).toBe(answered);
});

test.each(["application/grpc+proto", "application/grpc+json"])("%s: what is no message is INVALID_ARGUMENT", (type) => {
  const parse = () => codecOf(type)?.parse(GetWebhookRequestSchema, Buffer.from([0xff, 0xff, 0xff]));
  expect(parse).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
});

test.each(["application/grpc+proto", "application/grpc+json"])("%s: messages are read as they are written", (type) => {
  const message = create(GetWebhookRequestSchema, { id: "é" });
  const codec = codecOf(type);
  expect(codec?.parse(GetWebhookRequestSchema, codec.serialize(GetWebhookRequestSchema, message))).toEqual(message);
});

test.each([
  [undefined, undefined, undefined, undefined],
  ["identity", undefined, undefined, undefined],
  ["identity", "", undefined, undefined],
  ["gzip", undefined, gzip, gzip],
  ["gzip", "identity", gzip, undefined],
  ["gzip", "br", gzip, undefined],
  [undefined, "identity, deflate , gzip", undefined, gzip],
  ["identity", "gzip", undefined, gzip],
])("encoding %s, accepting %s", (encoding, accepted, request, response) => {
  expect(negotiate(gzip, encoding, accepted)).toEqual({ request, response });
});

test.each(["br", "deflate", "GZIP", "gzip, gzip", ""])("encoding %j is not known", (name) => {
  expect(negotiate(gzip, name, undefined)).toBeUndefined();
});

test("a service sets metadata of its own, and nothing that belongs to HTTP or to a protocol", () => {
  const headers = new Headers({ "x-one": "1", "x-two-bin": "AAE", "retry-after": "1" });
  headers.append("x-one", "2");
  for (const name of ["connection", "te", "content-type", "content-length", "date", "transfer-encoding"]) {
    headers.set(name, "x");
  }
  for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "trailer-x"]) {
    headers.set(name, "x");
  }
  headers.append("set-cookie", "a=1");
  headers.append("set-cookie", "b=2");
  const set = { "x-one": "1, 2", "x-two-bin": "AAE", "retry-after": "1", "set-cookie": ["a=1", "b=2"] };
  expect(metadataOf(headers)).toEqual(set);
  expect(metadataOf(undefined)).toEqual({});
});

test("a status tells code, message, metadata, and details where there are any", () => {
  const error = new ConnectError("50% é", Code.NotFound, { "x-why": "gone", "grpc-status": "0" });
  const plain = { "x-why": "gone", "grpc-status": "5", "grpc-message": "50%25 %C3%A9" };
  expect(statusOf(error)).toEqual(plain);
  error.details.push({ desc: BadRequestSchema, value: {} });
  expect(statusOf(error)).toEqual({ ...plain, "grpc-status-details-bin": expect.stringMatching(/^[\w+/]+$/) });
});
