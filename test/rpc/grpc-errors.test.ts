/** Refusals over gRPC: codes, and the details that a stock client decodes from grpc-status-details-bin. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { createGrpcClient, declaredRpcs, type GrpcClient, grpcRefusal } from "./grpc-client.ts";

const PAYLOAD_BYTES_MAX = 100_000;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const DOMAIN = "webhooks.alumia";

let service: TestService;
let client: GrpcClient;
let webhook: { id: string; secret: string };

beforeAll(async () => {
  service = await startService({ env: { MAX_PAYLOAD_BYTES: String(PAYLOAD_BYTES_MAX) } });
  client = createGrpcClient(service.port, service.key);
  webhook = (await service.api.post("/webhooks", { name: "w" })).body;
});
afterAll(async () => {
  client?.close();
  await service?.stop();
});

const refused = async (rpc: string, request: object) => {
  const { code, info, violations } = await grpcRefusal(client.unary(rpc, request));
  return [code, info, violations];
};
const invalid = (...violations: string[]) => ["INVALID_ARGUMENT", `${DOMAIN} BAD_REQUEST`, violations];
const notFound = ["NOT_FOUND", `${DOMAIN} NOT_FOUND`, []];

const invalidRequests: [rpc: string, request: object, violations: string[]][] = [
  ["WebhookService/CreateWebhook", {}, ["name string.min_len"]],
  ["WebhookService/CreateWebhook", { name: "x".repeat(121) }, ["name string.max_len"]],
  ["WebhookService/CreateWebhook", { name: " " }, ["name required"]],
  ["WebhookService/CreateWebhook", { name: "w", url: "http://169.254.169.254/" }, ["url url.private_address"]],
  ["WebhookService/CreateWebhook", { name: "w", status: "gone" }, ["status string.in"]],
  ["WebhookService/CreateWebhook", { name: "w", status: "active", enabled: false }, ["enabled contradiction"]],
  ["WebhookService/CreateWebhook", { name: "w", events: ["ok", "x".repeat(201)] }, ["events[1] string.max_len"]],
  [
    "WebhookService/CreateWebhook",
    { status: "", source: "" },
    ["name string.min_len", "source string.min_len", "status string.in"],
  ],
  ["WebhookService/ListWebhooks", { limit: 0 }, ["limit int32.gte_lte"]],
  ["WebhookService/ListWebhooks", { limit: 101 }, ["limit int32.gte_lte"]],
  ["WebhookService/ListWebhooks", { cursor: "x" }, ["cursor cursor"]],
  ["WebhookService/GetWebhook", { id: "x" }, ["id string.uuid"]],
  ["WebhookService/GetWebhook", {}, ["id string.uuid_empty"]],
  ["WebhookService/UpdateWebhook", {}, ["webhook required"]],
  ["WebhookService/UpdateWebhook", { webhook: { name: "w" } }, ["id string.uuid_empty"]],
  ["WebhookService/VerifySignature", {}, ["verify.subject", "verify.payload"]],
  ["EventService/SendTestEvent", { webhookId: randomUUID(), eventType: "a\nb" }, ["eventType string.pattern"]],
  ["ApiKeyService/CreateApiKey", { name: "k", expiresAt: { seconds: 1 } }, ["expiresAt future"]],
];

test.each(invalidRequests)("%s %j: INVALID_ARGUMENT about each field", async (rpc, request, violations) => {
  expect(await refused(rpc, request)).toEqual(invalid(...violations));
});

/** What makes each RPC that names something name something unknown. */
const unknown = {
  name: randomUUID(),
  id: randomUUID(),
  webhookId: randomUUID(),
  webhook: { id: randomUUID(), name: "w" },
};
const naming = declaredRpcs.filter(
  (rpc) => !/Service\/(List(Webhooks|Events|ApiKeys|BulkJobs|Sources)|Create|GetEventBody|ReceiveLinear)/.test(rpc),
);

test.each(naming)("%s of what does not exist: NOT_FOUND", async (rpc) => {
  const subject = rpc.endsWith("/VerifySignature") ? { webhookId: unknown.webhookId, payload: "{}" } : unknown;
  expect(await refused(rpc, subject)).toEqual(notFound);
});

test("a stream ends with NOT_FOUND, too", async () => {
  const refusal = await grpcRefusal(client.stream("EventService/GetEventBody", { id: unknown.id }));
  expect(refusal).toMatchObject({ code: "NOT_FOUND", message: "no such event", info: `${DOMAIN} NOT_FOUND` });
  const invalidId = await grpcRefusal(client.stream("EventService/GetEventBody", { id: "x" }));
  expect(invalidId).toMatchObject({ code: "INVALID_ARGUMENT", violations: ["id string.uuid"] });
});

test("ABORTED: the last key cannot revoke itself", async () => {
  const other = await service.otherOrganization();
  const { id } = (await other.get("/api-keys")).body.items[0];
  const alone = createGrpcClient(service.port, other.key);
  try {
    const refusal = await grpcRefusal(alone.unary("ApiKeyService/RevokeApiKey", { id }));
    expect(refusal).toMatchObject({ code: "ABORTED", info: `${DOMAIN} CONFLICT` });
  } finally {
    alone.close();
  }
});

describe("UNAUTHENTICATED", () => {
  test.each(declaredRpcs.filter((rpc) => !rpc.startsWith("ReceiveService/")))("%s without a key", async (rpc) => {
    const options = { authorized: false };
    const call = rpc.endsWith("/GetEventBody")
      ? client.stream(rpc, unknown, options)
      : client.unary(rpc, unknown, options);
    const refusal = await grpcRefusal(call);
    expect(refusal).toMatchObject({ code: "UNAUTHENTICATED", info: `${DOMAIN} UNAUTHORIZED`, violations: [] });
    expect(refusal.message).toContain("Authorization: Bearer");
  });

  test("an unknown key", async () => {
    const stranger = createGrpcClient(service.port, `alm_test_${"0".repeat(32)}`);
    try {
      expect(await grpcRefusal(stranger.unary("WebhookService/ListWebhooks", {}))).toMatchObject({
        code: "UNAUTHENTICATED",
        message: "this API key is unknown, expired or revoked",
      });
    } finally {
      stranger.close();
    }
  });
});

describe("Receive", () => {
  const call = (webhookId: string, data: Buffer, metadata: Record<string, string>) =>
    grpcRefusal(client.unary("ReceiveService/Receive", { webhookId, body: { data } }, { metadata }));
  const data = Buffer.from("{}");

  test("a signature that does not hold is UNAUTHENTICATED, whatever the API key", async () => {
    const unsigned = await call(webhook.id, data, {});
    expect(unsigned).toMatchObject({ code: "UNAUTHENTICATED", info: `${DOMAIN} UNAUTHORIZED` });
    const wrong = await call(webhook.id, data, hubSignature("wrong", data));
    expect(wrong.code).toBe("UNAUTHENTICATED");
    expect(wrong.message).not.toBe(unsigned.message);
  });

  test("an id that is no UUID is NOT_FOUND; a disabled webhook is PERMISSION_DENIED", async () => {
    expect((await call("x", data, {})).code).toBe("NOT_FOUND");
    const { id, secret } = (await service.api.post("/webhooks", { name: "d", status: "disabled" })).body;
    const disabled = await call(id, data, hubSignature(secret, data));
    expect(disabled).toMatchObject({ code: "PERMISSION_DENIED", info: `${DOMAIN} FORBIDDEN` });
  });

  test("a payload over the cap is RESOURCE_EXHAUSTED with its own reason, and nothing is recorded", async () => {
    const over = Buffer.alloc(PAYLOAD_BYTES_MAX + 1, "a");
    const refusal = await call(webhook.id, over, hubSignature(webhook.secret, over));
    expect(refusal).toMatchObject({ code: "RESOURCE_EXHAUSTED", info: `${DOMAIN} PAYLOAD_TOO_LARGE` });
    expect((await service.api.get(`/webhooks/${webhook.id}/events`)).body.items).toEqual([]);
  });
});

describe("a message over the size limit is RESOURCE_EXHAUSTED, and the channel goes on", () => {
  const request = { source: "custom", secret: "s", body: Buffer.alloc(MESSAGE_BYTES_MAX + 1) };

  test.each([
    ["as sent", {}],
    ["as gzip expands it", { "grpc.default_compression_algorithm": 2 }],
  ])("%s", async (_how, channel) => {
    const sender = createGrpcClient(service.port, service.key, channel);
    try {
      expect(await grpcRefusal(sender.unary("WebhookService/VerifySignature", request))).toMatchObject({
        code: "RESOURCE_EXHAUSTED",
      });
      expect(await sender.unary("WebhookService/GetWebhook", { id: webhook.id })).toHaveProperty("webhook.id");
    } finally {
      sender.close();
    }
  });
});

test("INTERNAL: a fault of ours is told without its cause", async () => {
  await service.pool.query("alter table webhook_counters rename to hidden_counters");
  try {
    expect(await grpcRefusal(client.unary("WebhookService/GetWebhook", { id: webhook.id }))).toEqual({
      code: "INTERNAL",
      message: "internal error",
      info: undefined,
      violations: [],
    });
  } finally {
    await service.pool.query("alter table hidden_counters rename to webhook_counters");
  }
});

test("UNIMPLEMENTED: a service or a method that is not served", async () => {
  for (const path of ["/alumia.webhooks.v1.WebhookService/Nothing", "/grpc.Nothing/At"]) {
    const { code } = await grpcRefusal(client.raw(path));
    expect(code).toBe("UNIMPLEMENTED");
  }
});
