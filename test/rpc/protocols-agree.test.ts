/** The service's own RPCs say the same over every protocol. */
import { randomUUID } from "node:crypto";
import { create, type DescMessage, type DescMethodUnary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiKeyService } from "../../gen/alumia/webhooks/v1/api_key_service_pb.ts";
import { BulkJobService } from "../../gen/alumia/webhooks/v1/bulk_job_service_pb.ts";
import { DeliveryService } from "../../gen/alumia/webhooks/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import { SecretCaptureService } from "../../gen/alumia/webhooks/v1/secret_capture_service_pb.ts";
import { SourceService } from "../../gen/alumia/webhooks/v1/source_service_pb.ts";
import { TraceService } from "../../gen/alumia/webhooks/v1/trace_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Reason } from "../../src/errors.ts";
import { HTTP_STATUS } from "../../src/rpc/error-mapping.ts";
import { hubSignature } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { generatedMethods, rpcName } from "./connect-clients.ts";
import { inEvery } from "./matrix.ts";
import type { Outcome } from "./outcome.ts";
import { type Protocol, protocolsOf } from "./protocols.ts";
import type { RestCall } from "./rest-protocol.ts";
import { SEED_BODY, type Seed, seed } from "./seed.ts";

/** A call in both its forms; over REST with its path below /api/v1. */
type Call = readonly [
  method: DescMethodUnary<DescMessage, DescMessage>,
  request: Readonly<Record<string, unknown>>,
  rest: RestCall,
];

const { getWebhook, listWebhooks, createWebhook, updateWebhook, deleteWebhook } = WebhookService.method;
const { rotateWebhookSecret, verifySignature } = WebhookService.method;
const { getEvent, listEvents, listWebhookEvents, replayEvent, sendTestEvent } = EventService.method;
const { cancelDelivery, getDelivery, listDeliveries, listWebhookDeliveries, retryDelivery } = DeliveryService.method;
const { listWebhookHandshakes, listWebhookRejections } = TraceService.method;
const { openSecretCapture, getSecretCapture, confirmSecretCapture } = SecretCaptureService.method;
const { getSource, listSources } = SourceService.method;
const { cancelBulkJob, createBulkJob, getBulkJob, listBulkJobs, pauseBulkJob, resumeBulkJob } = BulkJobService.method;
const { listApiKeys, createApiKey, revokeApiKey } = ApiKeyService.method;

/** Calls that can be made again and again with the same answer; every reading unary RPC is among them. */
const ANSWERED: readonly (() => Call)[] = [
  () => [listApiKeys, {}, ["GET", "/api-keys"]],
  () => [listBulkJobs, { limit: 1 }, ["GET", "/webhooks/bulk-jobs?limit=1"]],
  () => [getBulkJob, { id: seeded.jobId }, ["GET", `/webhooks/bulk-jobs/${seeded.jobId}`]],
  () => [getDelivery, { id: seeded.deliveryId }, ["GET", `/webhooks/deliveries/${seeded.deliveryId}`]],
  () => [listDeliveries, { eventId: seeded.eventId }, ["GET", `/webhooks/deliveries?eventId=${seeded.eventId}`]],
  () => [listWebhookDeliveries, { webhookId: seeded.webhook.id }, ["GET", `/webhooks/${seeded.webhook.id}/deliveries`]],
  () => [getEvent, { id: seeded.eventId }, ["GET", `/webhooks/events/${seeded.eventId}`]],
  () => [listEvents, { limit: 1 }, ["GET", "/webhooks/events?limit=1"]],
  () => [listWebhookEvents, { webhookId: seeded.webhook.id }, ["GET", `/webhooks/${seeded.webhook.id}/events`]],
  () => [getSecretCapture, { id: seeded.captureId }, ["GET", `/webhooks/${seeded.captureId}/capture`]],
  () => [listWebhookHandshakes, { webhookId: seeded.captureId }, ["GET", `/webhooks/${seeded.captureId}/handshakes`]],
  () => [getSource, { name: "github" }, ["GET", "/sources/github"]],
  () => [listSources, { limit: 3 }, ["GET", "/sources?limit=3"]],
  () => [listWebhookRejections, { webhookId: seeded.webhook.id }, ["GET", `/webhooks/${seeded.webhook.id}/rejections`]],
  () => [getWebhook, { id: seeded.webhook.id }, ["GET", `/webhooks/${seeded.webhook.id}`]],
  () => [listWebhooks, { limit: 1, status: "active" }, ["GET", "/webhooks?limit=1&status=active"]],
  () => [verifySignature, captured(), ["POST", "/webhooks/verify", captured()]],
  () => [verifySignature, { ...captured(), headers: {} }, ["POST", "/webhooks/verify", { ...captured(), headers: {} }]],
  // An event whose webhook forwards nowhere is replayed to nobody.
  () => [replayEvent, { id: unforwardedEventId }, ["POST", `/webhooks/events/${unforwardedEventId}/replay`]],
];

const captured = () => ({
  webhookId: seeded.webhook.id,
  payload: SEED_BODY,
  headers: hubSignature(seeded.webhook.secret, SEED_BODY),
});

/** A job that its filter does not narrow. */
const everything = () => ({ action: "cancel", filter: {} });

const unknown = randomUUID();
const long = "x".repeat(121);

/** Refused calls; every unary RPC is among them. REST's reason is the ErrorInfo of the others. */
const REFUSED: readonly (readonly [code: string, call: () => Call])[] = [
  [
    "InvalidArgument",
    () => [createWebhook, { name: long, status: "x" }, ["POST", "/webhooks", { name: long, status: "x" }]],
  ],
  [
    "InvalidArgument",
    () => [createWebhook, { name: "w", url: "ftp://x" }, ["POST", "/webhooks", { name: "w", url: "ftp://x" }]],
  ],
  [
    "InvalidArgument",
    () => [updateWebhook, { webhook: { id: unknown, name: long } }, ["PATCH", `/webhooks/${unknown}`, { name: long }]],
  ],
  ["InvalidArgument", () => [listWebhooks, { limit: 101 }, ["GET", "/webhooks?limit=101"]]],
  ["InvalidArgument", () => [listWebhooks, { cursor: "x" }, ["GET", "/webhooks?cursor=x"]]],
  ["InvalidArgument", () => [listEvents, { limit: 0 }, ["GET", "/webhooks/events?limit=0"]]],
  [
    "InvalidArgument",
    () => [verifySignature, { source: "custom" }, ["POST", "/webhooks/verify", { source: "custom" }]],
  ],
  ["InvalidArgument", () => [listApiKeys, { limit: -1 }, ["GET", "/api-keys?limit=-1"]]],
  ["InvalidArgument", () => [createApiKey, {}, ["POST", "/api-keys", {}]]],
  ["InvalidArgument", () => [getEvent, { id: "x" }, ["GET", "/webhooks/events/x"]]],
  ["InvalidArgument", () => [listSources, { limit: 101 }, ["GET", "/sources?limit=101"]]],
  ["NotFound", () => [getSource, { name: unknown }, ["GET", `/sources/${unknown}`]]],
  ["NotFound", () => [getWebhook, { id: unknown }, ["GET", `/webhooks/${unknown}`]]],
  [
    "NotFound",
    () => [updateWebhook, { webhook: { id: unknown, name: "w" } }, ["PATCH", `/webhooks/${unknown}`, { name: "w" }]],
  ],
  ["NotFound", () => [deleteWebhook, { id: unknown }, ["DELETE", `/webhooks/${unknown}`]]],
  ["NotFound", () => [rotateWebhookSecret, { id: unknown }, ["POST", `/webhooks/${unknown}/rotate`, {}]]],
  ["NotFound", () => [listWebhookEvents, { webhookId: unknown }, ["GET", `/webhooks/${unknown}/events`]]],
  ["NotFound", () => [replayEvent, { id: unknown }, ["POST", `/webhooks/events/${unknown}/replay`]]],
  ["NotFound", () => [sendTestEvent, { webhookId: unknown }, ["POST", "/webhooks/test", { webhookId: unknown }]]],
  ["NotFound", () => [listWebhookDeliveries, { webhookId: unknown }, ["GET", `/webhooks/${unknown}/deliveries`]]],
  ["NotFound", () => [listWebhookHandshakes, { webhookId: unknown }, ["GET", `/webhooks/${unknown}/handshakes`]]],
  ["NotFound", () => [openSecretCapture, { id: unknown }, ["POST", `/webhooks/${unknown}/capture`, {}]]],
  ["NotFound", () => [getSecretCapture, { id: unknown }, ["GET", `/webhooks/${unknown}/capture`]]],
  ["NotFound", () => [confirmSecretCapture, { id: unknown }, ["POST", `/webhooks/${unknown}/capture/confirm`]]],
  ["NotFound", () => [listWebhookRejections, { webhookId: unknown }, ["GET", `/webhooks/${unknown}/rejections`]]],
  ["NotFound", () => [getBulkJob, { id: unknown }, ["GET", `/webhooks/bulk-jobs/${unknown}`]]],
  ["NotFound", () => [pauseBulkJob, { id: unknown }, ["POST", `/webhooks/bulk-jobs/${unknown}/pause`]]],
  ["NotFound", () => [resumeBulkJob, { id: unknown }, ["POST", `/webhooks/bulk-jobs/${unknown}/resume`]]],
  ["NotFound", () => [cancelBulkJob, { id: unknown }, ["POST", `/webhooks/bulk-jobs/${unknown}/cancel`]]],
  ["InvalidArgument", () => [listBulkJobs, { state: "x" }, ["GET", "/webhooks/bulk-jobs?state=x"]]],
  ["InvalidArgument", () => [createBulkJob, everything(), ["POST", "/webhooks/bulk-jobs", everything()]]],
  ["NotFound", () => [getDelivery, { id: unknown }, ["GET", `/webhooks/deliveries/${unknown}`]]],
  ["NotFound", () => [listDeliveries, { webhookId: unknown }, ["GET", `/webhooks/deliveries?webhookId=${unknown}`]]],
  ["NotFound", () => [cancelDelivery, { id: unknown }, ["POST", `/webhooks/deliveries/${unknown}/cancel`]]],
  ["NotFound", () => [retryDelivery, { id: unknown }, ["POST", `/webhooks/deliveries/${unknown}/retry`]]],
  ["NotFound", () => [revokeApiKey, { id: unknown }, ["DELETE", `/api-keys/${unknown}`]]],
  ["NotFound", () => [ReceiveService.method.receive, { webhookId: "x" }, ["POST", "/webhooks/receive/x", {}]]],
  ["Unauthenticated", () => [ReceiveService.method.receiveLinear, {}, ["POST", "/webhooks/linear", {}]]],
  [
    "Aborted",
    () => [retryDelivery, { id: stuckDeliveryId }, ["POST", `/webhooks/deliveries/${stuckDeliveryId}/retry`]],
  ],
];

let service: TestService;
let destination: Destination;
let protocols: readonly Protocol[];
let seeded: Seed;
let unforwardedEventId: string;
/** A delivery of a paused webhook, which cannot be retried. */
let stuckDeliveryId: string;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  protocols = protocolsOf(service.port);
  seeded = await seed(service.api, destination.url);
  const stuck = await seed(service.api, destination.url);
  await service.api.patch(`/webhooks/${stuck.webhook.id}`, { status: "paused" });
  stuckDeliveryId = stuck.deliveryId;
  const silent = (await service.api.post("/webhooks", { name: "silent" })).body;
  unforwardedEventId = (await service.api.post("/webhooks/test", { webhookId: silent.id })).body.id;
});
afterAll(async () => {
  for (const protocol of protocols ?? []) protocol.close();
  await Promise.all([service?.stop(), destination?.close()]);
});

/** Names of the RPCs in a table; the calls are made up only when the tests run, so here they name no ids yet. */
const namesIn = (calls: readonly (() => Call)[]) => new Set(calls.map((call) => rpcName(call()[0])));

test("every unary RPC stands in the tables", () => {
  const unary = generatedMethods().filter((method) => method.methodKind === "unary");
  const reading = unary.filter((method) => method.idempotency === Idempotency.NO_SIDE_EFFECTS);
  expect([...namesIn(ANSWERED)]).toEqual(expect.arrayContaining(reading.map(rpcName)));
  expect([...namesIn(REFUSED.map(([, call]) => call))].sort()).toEqual(unary.map(rpcName).sort());
});

/** What the call comes to in every protocol, once it has proved to be the same. */
async function agreed([method, fields, [verb, path, body]]: Call, key = service.key): Promise<Outcome> {
  const call = {
    method,
    request: create(method.input, fields),
    headers: [["authorization", `Bearer ${key}`]],
    rest: [verb, `/api/v1${path}`, body],
  } as const;
  const outcomes: Record<string, Outcome> = {};
  for (const protocol of protocols) outcomes[protocol.name] = await protocol.call(call);
  const [first] = Object.values(outcomes) as [Outcome];
  expect(outcomes).toEqual(inEvery(protocols, { ...first, rest: restCodeOf(first) }));
  return first;
}

/** REST's code is the reason that ErrorInfo names. */
function restCodeOf({ code, details }: Outcome): string {
  if (code === "Ok") return "200";
  const info = details.find(({ type }) => type === ErrorInfoSchema.typeName)?.value as { reason: Reason };
  return `${HTTP_STATUS[info.reason]} ${info.reason}`;
}

test.each(ANSWERED.map((call, index) => [index, call] as const))(
  "answer %i is the same message",
  async (_index, call) => {
    const { messages } = await agreed(call());
    expect(messages).toMatchObject([{ $typeName: call()[0].output.typeName }]);
  },
);

test.each(REFUSED)("%s, refusal %$, is the same error", async (code, call) => {
  expect(await agreed(call())).toMatchObject({ code, message: expect.stringMatching(/./) });
});

describe("an unknown key is the same error", () => {
  test.each(ANSWERED.map((call, index) => [index, call] as const))("call %i", async (_index, call) => {
    const refusal = await agreed(call(), `alm_test_${"0".repeat(32)}`);
    expect(refusal).toMatchObject({ code: "Unauthenticated", details: [{ value: { reason: "UNAUTHORIZED" } }] });
  });
});
