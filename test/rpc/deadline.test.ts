/** A caller's deadline holds at the server, whatever the service waits for. Clients here keep no time themselves. */
import { once } from "node:events";
import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UpdateWebhookRequestSchema } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { readAnswer } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { createGrpcClient, grpcRefusal } from "./grpc-client.ts";

const PATH = "/alumia.webhooks.v1.WebhookService/UpdateWebhook";
/** Long enough for the call to reach its lock, milliseconds. */
const TIMEOUT_MS = 100;

let service: TestService;
let webhook: { id: string };
let holder: Client;

beforeAll(async () => {
  service = await startService();
  webhook = (await service.api.post("/webhooks", { name: "locked" })).body;
  holder = new Client({ connectionString: service.databaseUrl });
  await holder.connect();
  // Every update of the webhook waits for this row until the file is done.
  await holder.query("begin");
  await holder.query("select 1 from webhooks where id = $1 for update", [webhook.id]);
});
afterAll(async () => {
  await holder?.end();
  await service?.stop();
});

const message = () => create(UpdateWebhookRequestSchema, { webhook: { id: webhook.id, name: "late" } });

/** A gRPC or gRPC-Web frame that holds the message. */
function frame(): Buffer<ArrayBuffer> {
  const bytes = toBinary(UpdateWebhookRequestSchema, message());
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

test("gRPC: grpc-timeout", async () => {
  const session = connect(service.url);
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-timeout": `${TIMEOUT_MS}m`,
    authorization: `Bearer ${service.key}`,
  });
  const response = once(stream, "response");
  stream.resume().end(frame());
  expect((await response)[0]).toMatchObject({ "grpc-status": "4" });
  session.close();
});

test("gRPC: a stock client's deadline", async () => {
  const client = createGrpcClient(service.port, service.key);
  const request = { webhook: { id: webhook.id, name: "late" } };
  const call = client.unary("WebhookService/UpdateWebhook", request, { deadline: Date.now() + TIMEOUT_MS });
  expect((await grpcRefusal(call)).code).toBe("DEADLINE_EXCEEDED");
  client.close();
});

test("gRPC-Web: grpc-timeout", async () => {
  const response = await fetch(`${service.url}${PATH}`, {
    method: "POST",
    headers: {
      "content-type": "application/grpc-web+proto",
      "grpc-timeout": `${TIMEOUT_MS}m`,
      authorization: `Bearer ${service.key}`,
    },
    body: frame(),
  });
  expect(await response.text()).toMatch(/grpc-status: 4\r\n/);
});

test("Connect: connect-timeout-ms", async () => {
  const response = await fetch(`${service.url}${PATH}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "connect-timeout-ms": String(TIMEOUT_MS),
      authorization: `Bearer ${service.key}`,
    },
    body: JSON.stringify({ webhook: { id: webhook.id, name: "late" } }),
  });
  expect(await readAnswer(response)).toMatchObject({ status: 504, body: { code: "deadline_exceeded" } });
});

test("REST: x-server-timeout", async () => {
  const headers = { "x-server-timeout": String(TIMEOUT_MS / 1_000) };
  const answer = await service.api.call("PATCH", `/webhooks/${webhook.id}`, { name: "late" }, headers);
  expect(answer).toMatchObject({ status: 504, body: { error: { code: "DEADLINE_EXCEEDED" } } });
});
