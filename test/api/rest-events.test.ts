/** Events over REST: lists, one event, its exact bytes, replay. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, notFound, refusal } from "./refusal.ts";

const MIB = 1024 * 1024;
const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

let service: TestService;
let destination: Destination;

interface Created {
  readonly id: string;
  readonly receiveUrl: string;
  readonly secret: string;
}

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

const create = async (fields: object = {}): Promise<Created> =>
  (await service.api.post("/webhooks", { name: "w", ...fields })).body;

/** Id of the event that this request made. */
async function receive(
  webhook: Created,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await send(webhook.receiveUrl, body, { ...hubSignature(webhook.secret, body), ...headers });
  expect(answer).toMatchObject({ status: 200, body: { received: true, duplicate: false } });
  expect(Object.keys(answer.body)).toEqual(["received", "eventId", "duplicate"]);
  return answer.body.eventId;
}

async function rawBody(id: string): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  const response = await fetch(`${service.url}/api/v1/webhooks/events/${id}/body`, {
    headers: { authorization: `Bearer ${service.key}` },
  });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

test("one event has every field; lists show it without headers and payload", async () => {
  const webhook = await create({ name: "named" });
  const payload = ' {"type":"order.paid", "n": 12345678901234567890, "b":1, "a":"é"}\n';
  const headers = { authorization: "Bearer theirs", cookie: "c=1", "x-custom": "kept" };
  const id = await receive(webhook, payload, headers);
  const { status, body: event } = await service.api.get(`/webhooks/events/${id}`);
  const summary = {
    id,
    webhookId: webhook.id,
    webhookName: "named",
    type: "order.paid",
    sourceEventId: null,
    status: "received",
    verified: true,
    scheme: "hub-signature-256",
    synthetic: false,
    contentType: "application/json",
    size: Buffer.byteLength(payload),
    receivedAt: expect.stringMatching(TIME),
    sourceEventIdReused: false,
  };
  expect(status).toBe(200);
  expect(event).toEqual({
    ...summary,
    headers: expect.objectContaining({
      authorization: "[redacted]",
      cookie: "[redacted]",
      "x-custom": "kept",
      ...hubSignature(webhook.secret, payload),
    }),
    payload,
    body: Buffer.from(payload).toString("base64"),
    bodyOmitted: false,
  });
  const ofWebhook = await service.api.get(`/webhooks/${webhook.id}/events`);
  expect(ofWebhook.body).toEqual({ items: [summary], nextCursor: null, hasMore: false });
  expect((await service.api.get("/webhooks/events?limit=1")).body.items).toEqual([summary]);
});

test("an event that the allowlist leaves out is recorded as filtered", async () => {
  const webhook = await create({ events: ["a.*"], url: destination.url });
  const ids = [await receive(webhook, '{"type":"b"}'), await receive(webhook, "no type")];
  for (const id of ids) expect((await service.api.get(`/webhooks/events/${id}`)).body.status).toBe("filtered");
  expect((await service.api.get(`/webhooks/${webhook.id}/deliveries`)).body.items).toEqual([]);
  expect((await service.api.post(`/webhooks/events/${ids[0]}/replay`)).body).toEqual({ deliveries: [] });
});

test.each<[string, string, Uint8Array<ArrayBuffer> | string, string | null]>([
  ["JSON", "application/json; charset=utf-8", '{"a":"é"}', '{"a":"é"}'],
  ["a form", "application/x-www-form-urlencoded", "a=1&b=%20", "a=1&b=%20"],
  ["XML", "text/xml", "<a/>\r\n", "<a/>\r\n"],
  ["a byte order mark", "text/plain", "\u{feff}x", "\u{feff}x"],
  ["NUL", "text/plain", "a\0b", "a\0b"],
  ["bytes that are no UTF-8", "application/octet-stream", new Uint8Array([0xff, 0xfe, 0, 1, 0xc3]), null],
  ["a lone surrogate in UTF-8", "text/plain", new Uint8Array([0xed, 0xa0, 0x80]), null],
  ["nothing", "text/plain", "", ""],
])("the exact bytes and their content type: %s", async (_what, contentType, sent, payload) => {
  const webhook = await create();
  const id = await receive(webhook, sent, { "content-type": contentType });
  const bytes = Buffer.from(sent as string);
  const { body: event } = await service.api.get(`/webhooks/events/${id}`);
  expect(event).toMatchObject({ payload, body: bytes.toString("base64"), size: bytes.length, contentType });
  const raw = await rawBody(id);
  expect([raw.status, raw.headers.get("content-type"), raw.bytes]).toEqual([200, contentType, bytes]);
  // A browser must not run a third party's bytes as a page of this origin.
  expect(raw.headers.get("x-content-type-options")).toBe("nosniff");
  expect(raw.headers.get("content-security-policy")).toContain("sandbox");
});

test("a body without content type is application/octet-stream, and null in JSON", async () => {
  const webhook = await create();
  const body = Buffer.from("x");
  const headers = hubSignature(webhook.secret, body);
  const response = await fetch(webhook.receiveUrl, { method: "POST", body: new Uint8Array(body), headers });
  const { eventId } = (await response.json()) as { eventId: string };
  expect((await service.api.get(`/webhooks/events/${eventId}`)).body.contentType).toBeNull();
  expect((await rawBody(eventId)).headers.get("content-type")).toBe("application/octet-stream");
});

test.each([
  [3 * MIB, false],
  [3 * MIB + 1, true],
])("a body of %i bytes: left out of the single event is %s, and /body has it", async (size, omitted) => {
  const webhook = await create();
  const bytes = new Uint8Array(randomBytes(size));
  const id = await receive(webhook, bytes, { "content-type": "application/octet-stream" });
  const { body: event } = await service.api.get(`/webhooks/events/${id}`);
  expect([event.bodyOmitted, event.size, event.payload]).toEqual([omitted, size, null]);
  if (omitted) expect(event.body).toBeNull();
  else expect(Buffer.from(event.body, "base64").equals(bytes)).toBe(true);
  expect((await rawBody(id)).bytes.equals(bytes)).toBe(true);
});

test("replay makes a new delivery of the same event each time, to the url as it is now", async () => {
  const webhook = await create();
  const id = await receive(webhook, '{"type":"again"}');
  expect((await service.api.post(`/webhooks/events/${id}/replay`)).body).toEqual({ deliveries: [] });
  await service.api.patch(`/webhooks/${webhook.id}`, { url: destination.url });
  const before = destination.arrivals.length;
  const [first, second] = [
    await service.api.post(`/webhooks/events/${id}/replay`),
    await service.api.post(`/webhooks/events/${id}/replay`),
  ];
  expect([first.status, second.status]).toEqual([200, 200]);
  const arrivals = (await destination.arrived(before + 2)).slice(before);
  expect(arrivals.map((arrival) => arrival.headers["webhook-id"])).toEqual([id, id]);
  expect(arrivals.map((arrival) => arrival.body.toString())).toEqual(['{"type":"again"}', '{"type":"again"}']);
  const [delivery] = first.body.deliveries;
  expect(delivery).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    webhookId: webhook.id,
    eventId: id,
    eventType: "again",
    url: destination.url,
    status: "pending",
    retryCount: 0,
    attemptCount: 0,
    nextAttemptAt: expect.stringMatching(TIME),
    createdAt: expect.stringMatching(TIME),
    updatedAt: expect.stringMatching(TIME),
    completedAt: null,
    response: null,
  });
  const listed = (await service.api.get(`/webhooks/${webhook.id}/deliveries`)).body.items;
  expect(listed.map((item: { id: string }) => item.id)).toEqual([second.body.deliveries[0].id, delivery.id]);
});

test("a replay into a paused webhook waits with it", async () => {
  const webhook = await create({ url: destination.url, status: "paused" });
  const id = await receive(webhook, "{}");
  const { body } = await service.api.post(`/webhooks/events/${id}/replay`);
  expect(body.deliveries).toMatchObject([{ status: "paused", eventType: null, attemptCount: 0 }]);
});

test.each([
  ["GET", "/webhooks/events/ID"],
  ["GET", "/webhooks/events/ID/body"],
  ["POST", "/webhooks/events/ID/replay"],
])("%s %s of an unknown id is NOT_FOUND, of no UUID BAD_REQUEST", async (method, path) => {
  const body = method === "POST" ? {} : undefined;
  expect(refusal(await service.api.call(method, path.replace("ID", UNKNOWN_ID), body))).toEqual(notFound);
  expect(refusal(await service.api.call(method, path.replace("ID", "1"), body))).toEqual(badRequest("id string.uuid"));
});

test("replay takes no body, an empty object, and nothing else", async () => {
  const id = await receive(await create(), "{}");
  expect((await service.api.call("POST", `/webhooks/events/${id}/replay`)).status).toBe(200);
  const refused = await service.api.post(`/webhooks/events/${id}/replay`, { to: "x" });
  expect(refusal(refused)).toEqual(badRequest("to unknown"));
});
