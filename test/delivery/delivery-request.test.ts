/** What a destination is sent: the exact bytes, the provider's headers, ours, and a signature that consumers can check. */
import { createHash, createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Arrival, type Destination, startDestination } from "../support/destination.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, outline, standardHeaders } from "./forwarding.ts";

const clock = new ManualClock();
let service: TestService;
let destination: Destination;

beforeAll(async () => {
  service = await startService({ clock });
});
beforeEach(async () => {
  destination = await startDestination();
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

/** The only request that came. */
async function firstArrival(): Promise<Arrival> {
  const [arrival] = await destination.arrived(1);
  if (!arrival) throw new Error("nothing came");
  return arrival;
}

/** Throws unless the arrival's signature holds under the secret. */
function verify(secret: string, arrival: Arrival): void {
  new Webhook(secret).verify(arrival.body, arrival.headers as Record<string, string>);
}

const signatures = (arrival: Arrival): string[] => String(arrival.headers["webhook-signature"]).split(" ");

test("the signature verifies with the forward secret, and never with the inbound one", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent('{"type":"order.paid","n":1}');
  const arrival = await firstArrival();
  expect(() => verify(webhook.forwardSecret, arrival)).not.toThrow();
  expect(() => verify(webhook.secret, arrival)).toThrow();
  const altered = { ...arrival, body: Buffer.from('{"type":"order.paid","n":2}') };
  expect(() => verify(webhook.forwardSecret, altered)).toThrow();
  expect(signatures(arrival)).toHaveLength(1);
  expect(arrival.headers).toMatchObject({ "webhook-id": eventId, "alumia-event-type": "order.paid" });
});

test("during a grace both forward secrets sign; after it only the new one", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const rotated = await service.api.post(`/webhooks/${webhook.id}/rotate`, {
    target: "forward",
    gracePeriodSeconds: 60,
  });
  expect(rotated.body.forwardSecret).toMatch(/^whsec_/);
  expect(rotated.body.forwardSecret).not.toBe(webhook.forwardSecret);
  await webhook.sendEvent('{"n":1}');
  const during = await firstArrival();
  expect(signatures(during)).toHaveLength(2);
  verify(webhook.forwardSecret, during);
  verify(rotated.body.forwardSecret, during);

  clock.advance(61_000);
  await webhook.sendEvent('{"n":2}');
  const [, after] = await destination.arrived(2);
  if (!after) throw new Error("nothing came");
  expect(signatures(after)).toHaveLength(1);
  // The library takes timestamps within five minutes of its own clock.
  verify(rotated.body.forwardSecret, after);
  expect(() => verify(webhook.forwardSecret, after)).toThrow();
});

test("a rotation without grace holds for the very next request", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const rotated = await service.api.post(`/webhooks/${webhook.id}/rotate`, { target: "forward" });
  await webhook.sendEvent();
  const arrival = await firstArrival();
  verify(rotated.body.forwardSecret, arrival);
  expect(() => verify(webhook.forwardSecret, arrival)).toThrow();
});

test.each([
  ["not UTF-8", Buffer.from([0, 255, 254, 10, 13, 0]), "application/octet-stream"],
  ["blanks and a large number", Buffer.from('{ "n" : 12345678901234567890 }\n'), "application/json; charset=utf-8"],
  ["a form", Buffer.from("payload=%7B%7D&b=+"), "application/x-www-form-urlencoded"],
  ["a megabyte", Buffer.alloc(1_048_576, "€"), "text/plain"],
  ["nothing", Buffer.alloc(0), "text/plain"],
])("exact bytes and content type: %s", async (_name, bytes, contentType) => {
  const webhook = await createForwardingWebhook(service, destination.url);
  await webhook.sendEvent(new Uint8Array(bytes), { "content-type": contentType });
  const arrival = await firstArrival();
  const digest = (data: Buffer) => createHash("sha256").update(data).digest("hex");
  expect([arrival.body.length, digest(arrival.body)]).toEqual([bytes.length, digest(bytes)]);
  expect(arrival.headers["content-type"]).toBe(contentType);
  expect(arrival.headers["content-length"]).toBe(String(bytes.length));
  // The library reads JSON only; the signature covers any bytes.
  const head = `${arrival.headers["webhook-id"]}.${arrival.headers["webhook-timestamp"]}.`;
  const key = Buffer.from(webhook.forwardSecret.replace("whsec_", ""), "base64");
  expect(signatures(arrival)).toEqual([`v1,${createHmac("sha256", key).update(head).update(bytes).digest("base64")}`]);
});

test("the provider's own headers are passed on, so that its own verification still works; others are not", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const body = '{"action":"opened"}';
  await webhook.sendEvent(body, {
    "x-github-event": "issues",
    "x-custom": "kept",
    authorization: "Bearer secret",
    cookie: "a=b",
    "x-forwarded-for": "203.0.113.9",
    "user-agent": "Provider/1",
  });
  const { headers } = await firstArrival();
  expect(headers).toMatchObject({
    "x-github-event": "issues",
    "x-custom": "kept",
    "x-hub-signature-256": hubSignature(webhook.secret, body)["x-hub-signature-256"],
    "original-user-agent": "Provider/1",
    "alumia-hops": "1",
    "alumia-attempt": "1",
    "alumia-webhook-id": webhook.id,
    host: `127.0.0.1:${destination.port}`,
  });
  expect(headers["user-agent"]).toMatch(/^Alumia-Webhooks\//);
  for (const name of ["authorization", "cookie", "x-forwarded-for"]) expect(headers).not.toHaveProperty(name);
});

test("where the provider uses the same names, ours win and theirs travel as original-webhook-*", async () => {
  const created = await service.api.post("/webhooks", {
    name: "standard",
    source: "standardwebhooks",
    url: destination.url,
  });
  const { receiveUrl, secret, forwardSecret } = created.body;
  const body = '{"type":"contact.created"}';
  const theirs = standardHeaders(secret, "msg_theirs", body);
  const received = await send(receiveUrl, body, theirs);
  expect(received.status).toBe(200);
  const arrival = await firstArrival();
  expect(arrival.headers["webhook-id"]).toBe(received.body.eventId);
  verify(forwardSecret, arrival);
  expect(arrival.headers).toMatchObject({
    "original-webhook-id": "msg_theirs",
    "original-webhook-timestamp": theirs["webhook-timestamp"],
    "original-webhook-signature": theirs["webhook-signature"],
  });
});

test.each([
  ["0", "1"],
  ["4", "5"],
])("an event that has passed %s gateways goes on as %s", async (came, goes) => {
  const webhook = await createForwardingWebhook(service, destination.url);
  await webhook.sendEvent("{}", { "alumia-hops": came });
  expect((await firstArrival()).headers["alumia-hops"]).toBe(goes);
});

test.each(["5", "6", "-1", "many"])("an event that has passed %s gateways is not sent: no loops", async (hops) => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent("{}", { "alumia-hops": hops });
  const refused = await webhook.settled(eventId, "failed");
  expect(outline(refused)).toEqual(["1 scheduled too_many_hops"]);
  expect(refused.response).toMatchObject({ statusCode: null, errorCode: "too_many_hops" });
  expect(destination.arrivals).toEqual([]);
});

test("what is shown of a request is what the destination saw, but for the signatures' values", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent("{}", { "x-custom": "a", "user-agent": "provider/1", cookie: "secret" });
  const { attempts } = await webhook.settled(eventId, "succeeded");
  const { headers } = await firstArrival();
  expect(headers).toHaveProperty("x-hub-signature-256");
  const redacted = { "webhook-signature": "[redacted]", "x-hub-signature-256": "[redacted]" };
  expect(attempts[0].requestHeaders).toEqual({ ...headers, ...redacted });
  expect(JSON.stringify(attempts[0])).not.toMatch(/v1,|sha256=/);
});
