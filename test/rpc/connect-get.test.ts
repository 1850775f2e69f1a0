/** Connect's GET: taken by the methods without side effects, and by no other. */
import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GetEventRequestSchema } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { readAnswer } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import {
  type Clients,
  connectJson,
  createClients,
  createGetTransport,
  generatedMethods,
  rpcName,
} from "./connect-clients.ts";
import { SEED_BODY, type Seed, seed } from "./seed.ts";

/** One case for each unary RPC without side effects; a new one fails the test below until it has one. */
const CASES: Readonly<Record<string, (clients: Clients) => Promise<unknown>>> = {
  "ApiKeyService/ListApiKeys": ({ apiKeys }) => apiKeys.listApiKeys({}),
  "BulkJobService/GetBulkJob": ({ bulkJobs }) => bulkJobs.getBulkJob({ id: seeded.jobId }),
  "BulkJobService/ListBulkJobs": ({ bulkJobs }) => bulkJobs.listBulkJobs({ limit: 5 }),
  "DeliveryService/GetDelivery": ({ deliveries }) => deliveries.getDelivery({ id: seeded.deliveryId }),
  "DeliveryService/ListDeliveries": ({ deliveries }) => deliveries.listDeliveries({ status: ["succeeded", "failed"] }),
  "DeliveryService/ListWebhookDeliveries": ({ deliveries }) =>
    deliveries.listWebhookDeliveries({ webhookId: seeded.webhook.id, limit: 10 }),
  "EventService/GetEvent": ({ events }) => events.getEvent({ id: seeded.eventId }),
  "EventService/ListEvents": ({ events }) => events.listEvents({}),
  "EventService/ListWebhookEvents": ({ events }) => events.listWebhookEvents({ webhookId: seeded.webhook.id }),
  "SecretCaptureService/GetSecretCapture": ({ captures }) => captures.getSecretCapture({ id: seeded.captureId }),
  "SourceService/GetSource": ({ sources }) => sources.getSource({ name: "github" }),
  "SourceService/ListSources": ({ sources }) => sources.listSources({ limit: 3 }),
  "TraceService/ListWebhookHandshakes": ({ traces }) => traces.listWebhookHandshakes({ webhookId: seeded.captureId }),
  "TraceService/ListWebhookRejections": ({ traces }) => traces.listWebhookRejections({ webhookId: seeded.webhook.id }),
  "WebhookService/GetWebhook": ({ webhooks }) => webhooks.getWebhook({ id: seeded.webhook.id }),
  "WebhookService/ListWebhooks": ({ webhooks }) => webhooks.listWebhooks({ status: "active" }),
};

let service: TestService;
let destination: Destination;
let seeded: Seed;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  seeded = await seed(service.api, destination.url);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

const isReading = (method: DescMethod) => method.idempotency === Idempotency.NO_SIDE_EFFECTS;

test("every unary RPC without side effects has a case here", () => {
  const reading = generatedMethods().filter((method) => isReading(method) && method.methodKind === "unary");
  expect(Object.keys(CASES).sort()).toEqual(reading.map(rpcName).sort());
});

// VerifySignature changes nothing either, but its request may hold a secret, which must not stand in a URL.
test("an RPC may be called by GET exactly if its name says so", () => {
  const names = generatedMethods().filter(isReading).map(rpcName);
  const expected = generatedMethods()
    .map(rpcName)
    .filter((name) => /\/(Get|List)/.test(name));
  expect(names).toEqual(expected);
});

describe.each([
  ["JSON", false],
  ["binary", true],
])("%s", (_codec, useBinaryFormat) => {
  test.each(Object.entries(CASES))("%s answers GET as it answers POST", async (rpc, call) => {
    const sent: string[] = [];
    const spy: typeof fetch = async (input, init) => {
      sent.push(`${init?.method} ${new URL(String(input)).pathname}`);
      return await fetch(input, init);
    };
    const options = { url: service.url, key: service.key };
    const got = await call(createClients(createGetTransport({ ...options, fetch: spy }, useBinaryFormat)));
    expect(sent).toEqual([`GET /alumia.webhooks.v1.${rpc}`]);
    const posted = await call(createClients(connectJson({ ...options, fetch: spy })));
    expect(sent[1]).toBe(`POST /alumia.webhooks.v1.${rpc}`);
    expect(got).toEqual(posted);
  });
});

describe("by hand", () => {
  const base = "/alumia.webhooks.v1";
  const get = async (rpc: string, query: Record<string, string>, key: string | undefined = service.key) => {
    const headers = key === "" ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(`${service.url}${base}.${rpc}?${new URLSearchParams(query)}`, { headers });
    return await readAnswer(response);
  };
  const json = (message: object) => ({ encoding: "json", message: JSON.stringify(message) });

  test("text and base64url messages", async () => {
    const { body } = await get("EventService/GetEvent", json({ id: seeded.eventId }));
    expect(body.event).toMatchObject({ id: seeded.eventId, payload: SEED_BODY });
    const bytes = toBinary(GetEventRequestSchema, create(GetEventRequestSchema, { id: seeded.eventId }));
    const message = Buffer.from(bytes).toString("base64url");
    const binary = await get("EventService/GetEvent", { encoding: "proto", base64: "1", message });
    expect([binary.status, binary.headers.get("content-type")]).toEqual([200, "application/proto"]);
  });

  test.each(
    generatedMethods()
      .filter((method) => !isReading(method))
      .map(rpcName),
  )("%s: 405", async (rpc) => {
    expect((await get(rpc, json({ id: seeded.webhook.id }))).status).toBe(405);
    expect((await service.api.get(`/webhooks/${seeded.webhook.id}`)).status).toBe(200);
  });

  test.each<[string, () => ReturnType<typeof get>, number, string]>([
    ["no key", () => get("EventService/GetEvent", json({ id: seeded.eventId }), ""), 401, "unauthenticated"],
    ["an invalid field", () => get("EventService/GetEvent", json({ id: "x" })), 400, "invalid_argument"],
    ["an unknown id", () => get("EventService/GetEvent", json({ id: seeded.webhook.id })), 404, "not_found"],
    ["no JSON", () => get("EventService/GetEvent", { encoding: "json", message: "{" }), 400, "invalid_argument"],
    ["an unknown field", () => get("EventService/GetEvent", json({ x: 1 })), 400, "invalid_argument"],
  ])("%s", async (_what, call, status, code) => {
    expect(await call()).toMatchObject({ status, body: { code } });
  });

  test("no encoding: 415", async () => {
    expect((await get("EventService/GetEvent", {})).status).toBe(415);
  });
});
