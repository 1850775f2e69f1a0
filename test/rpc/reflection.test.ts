/** Server reflection, both versions: what it answers, how much, and that a client that has nothing else can call. */
import { once } from "node:events";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, credentials, loadPackageDefinition, Metadata, status } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { file_alumia_webhooks_v1_webhook_service } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { http } from "../../gen/google/api/annotations_pb.ts";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { LIMITS } from "../../src/config.ts";
import { startService, type TestService } from "../support/service.ts";
import type { Json } from "./grpc-client.ts";

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

const http2 = () => ({ baseUrl: service.url, httpVersion: "2" as const });
const PROTOCOLS = {
  gRPC: () => createGrpcTransport(http2()),
  "gRPC-Web": () => createGrpcWebTransport(http2()),
  Connect: () => createConnectTransport(http2()),
};

/** Asks all questions on one stream, without a key. */
async function ask(questions: readonly Question[], transport = PROTOCOLS.gRPC()): Promise<ServerReflectionResponse[]> {
  const requests = async function* () {
    for (const messageRequest of questions) yield { host: "any", messageRequest };
  };
  return await Array.fromAsync(createClient(ServerReflection, transport).serverReflectionInfo(requests()));
}

/** Names of the files that answer a question, or the code and message of the refusal. */
async function filesFor(question: Question): Promise<unknown> {
  const [answer] = await ask([question]);
  const response = answer?.messageResponse;
  if (response?.case === "errorResponse") return [response.value.errorCode, response.value.errorMessage];
  if (response?.case !== "fileDescriptorResponse") return response;
  return response.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

const symbol = (value: string): Question => ({ case: "fileContainingSymbol", value });
const extension = (containingType: string, extensionNumber: number): Question => ({
  case: "fileContainingExtension",
  value: { containingType, extensionNumber },
});

const WEBHOOK_FILE = "alumia/webhooks/v1/webhook_service.proto";
/** The annotation google.api.http, by which a method has its REST form. */
const HTTP = { extended: "google.protobuf.MethodOptions", number: http.number } as const;

describe.each(Object.entries(PROTOCOLS))("%s", (_name, transport) => {
  test.each([
    ["v1", ServerReflection],
    ["v1alpha", ServerReflectionV1alpha],
  ])("%s lists every service, itself included", async (_version, version) => {
    const client = createClient(version as typeof ServerReflection, transport());
    const requests = async function* () {
      yield { host: "here", messageRequest: { case: "listServices" as const, value: "*" } };
    };
    const [answer, ...more] = await Array.fromAsync(client.serverReflectionInfo(requests()));
    expect(more).toEqual([]);
    expect(answer).toMatchObject({
      validHost: "here",
      originalRequest: { host: "here", messageRequest: { case: "listServices", value: "*" } },
      messageResponse: { case: "listServicesResponse" },
    });
    const names = (answer as Json).messageResponse.value.service.map(({ name }: { name: string }) => name);
    expect(names.sort()).toEqual([
      "alumia.webhooks.v1.ApiKeyService",
      "alumia.webhooks.v1.BulkJobService",
      "alumia.webhooks.v1.DeliveryService",
      "alumia.webhooks.v1.EventService",
      "alumia.webhooks.v1.ReceiveService",
      "alumia.webhooks.v1.SecretCaptureService",
      "alumia.webhooks.v1.SourceService",
      "alumia.webhooks.v1.TraceService",
      "alumia.webhooks.v1.WebhookService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });
});

test.each<[string, Question, string]>([
  ["a file by its name", { case: "fileByFilename", value: WEBHOOK_FILE }, WEBHOOK_FILE],
  ["a service", symbol("alumia.webhooks.v1.WebhookService"), WEBHOOK_FILE],
  ["a method", symbol("alumia.webhooks.v1.WebhookService.GetWebhook"), WEBHOOK_FILE],
  ["a message", symbol("alumia.webhooks.v1.Webhook"), WEBHOOK_FILE],
  ["a message inside another", symbol("google.rpc.BadRequest.FieldViolation"), "google/rpc/error_details.proto"],
  ["an enum", symbol("grpc.health.v1.HealthCheckResponse.ServingStatus"), "grpc/health/v1/health.proto"],
  ["a well-known type", symbol("google.protobuf.Timestamp"), "google/protobuf/timestamp.proto"],
  ["an extension by its name", symbol("google.api.http"), "google/api/annotations.proto"],
  ["an extension by its number", extension(HTTP.extended, HTTP.number), "google/api/annotations.proto"],
])("%s is found", async (_what, question, file) => {
  expect(await filesFor(question)).toEqual(expect.arrayContaining([file]));
  expect(((await filesFor(question)) as string[])[0]).toBe(file);
});

test.each<[string, Question]>([
  ["a file", { case: "fileByFilename", value: "alumia/webhooks/v1/nothing.proto" }],
  ["a file of this machine", { case: "fileByFilename", value: "../../package.json" }],
  ["a symbol", symbol("alumia.webhooks.v1.Nothing")],
  ["a method", symbol("alumia.webhooks.v1.WebhookService.Nothing")],
  ["a package, which is no symbol", symbol("alumia.webhooks.v1")],
  ["no name", symbol("")],
  ["an extension", extension(HTTP.extended, 1)],
  ["an extension of nothing", extension("nothing", HTTP.number)],
])("%s that there is not", async (_what, question) => {
  expect(await filesFor(question)).toEqual([Code.NotFound, "nothing of this name is served"]);
});

test("a file comes with all that it imports, google.protobuf included, each once, and as it was compiled", async () => {
  const [answer] = await ask([symbol("alumia.webhooks.v1.WebhookService")]);
  if (answer?.messageResponse.case !== "fileDescriptorResponse") return expect.unreachable();
  // Copies that are no Buffers, so that the bytes in them compare.
  const files = answer.messageResponse.value.fileDescriptorProto.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, new Uint8Array(bytes)),
  );
  const names = files.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { dependency } of files) expect(names).toEqual(expect.arrayContaining(dependency));
  expect(names).toEqual(
    expect.arrayContaining(["google/protobuf/timestamp.proto", "google/protobuf/descriptor.proto"]),
  );
  expect(files[0]).toEqual(file_alumia_webhooks_v1_webhook_service.proto);
});

test("the numbers of a type's extensions", async () => {
  const question = (value: string): Question => ({ case: "allExtensionNumbersOfType", value });
  const answers = await ask([question(HTTP.extended), question("alumia.webhooks.v1.Webhook"), question("nothing")]);
  expect(answers.map(({ messageResponse }) => messageResponse)).toMatchObject([
    {
      case: "allExtensionNumbersResponse",
      value: { baseTypeName: HTTP.extended, extensionNumber: expect.arrayContaining([HTTP.number]) },
    },
    { case: "allExtensionNumbersResponse", value: { extensionNumber: [] } },
    { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: "no such type" } },
  ]);
});

test("a question that asks nothing is refused, and the stream goes on", async () => {
  const answers = await ask([{ case: undefined }, { case: "listServices", value: "" }]);
  expect(answers.map((it) => it.messageResponse.case)).toEqual(["errorResponse", "listServicesResponse"]);
  expect(answers[0]?.messageResponse.value).toMatchObject({ errorCode: Code.InvalidArgument });
});

test("a stream takes a bounded number of questions of bounded size", async () => {
  const many = Array.from({ length: LIMITS.reflectionRequestsMax + 1 }, () => symbol("x"));
  expect(await ask(many.slice(1))).toHaveLength(LIMITS.reflectionRequestsMax);
  const tooMany = await ask(many).catch(ConnectError.from);
  expect(tooMany).toMatchObject({ code: Code.ResourceExhausted });
  const tooLarge = await ask([symbol("x".repeat(LIMITS.introspectionRequestBytesMax))]).catch(ConnectError.from);
  expect(tooLarge).toMatchObject({ code: Code.ResourceExhausted });
});

test("a stream that its client keeps open does not hold a stop up, and ends in order", async () => {
  const stopping = await startService({ env: { SHUTDOWN_GRACE_MS: "600000" } });
  const client = new Client(`127.0.0.1:${stopping.port}`, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const stream = client.makeBidiStreamRequest(path, same, same);
  const answered = once(stream, "data");
  stream.write(
    Buffer.from(
      toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { messageRequest: symbol("x") })),
    ),
  );
  await answered;
  const ended = once(stream, "status");
  await stopping.stop();
  expect((await ended)[0]).toMatchObject({ code: status.OK });
  client.close();
});

test("@grpc/grpc-js calls with a schema that it has learnt by reflection alone", async () => {
  const [answer] = await ask([symbol("alumia.webhooks.v1.WebhookService")]);
  if (answer?.messageResponse.case !== "fileDescriptorResponse") return expect.unreachable();
  const file = answer.messageResponse.value.fileDescriptorProto.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
  const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }));
  const root = loadPackageDefinition(loadFileDescriptorSetFromBuffer(Buffer.from(set))) as Json;
  const client = new root.alumia.webhooks.v1.WebhookService(`127.0.0.1:${service.port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${service.key}`);
  const made = await new Promise((resolve, reject) => {
    client.createWebhook({ name: "by reflection" }, metadata, (error: Error | null, message: Json) =>
      error ? reject(error) : resolve(message.webhook),
    );
  });
  client.close();
  expect(made).toMatchObject({ name: "by reflection", source: "custom", status: "active" });
});
