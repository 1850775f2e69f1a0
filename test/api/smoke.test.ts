import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test("an event is received, verified, recorded and forwarded", async () => {
  const created = await service.api.post("/webhooks", { name: "smoke", url: destination.url });
  expect(created.status).toBe(201);
  const body = '{"type":"order.paid","n":1}';
  const received = await send(created.body.receiveUrl, body, hubSignature(created.body.secret, body));
  expect(received).toMatchObject({ status: 200, body: { received: true, duplicate: false } });
  const [arrival] = await destination.arrived(1);
  expect(arrival?.body.toString()).toBe(body);
  expect(arrival?.headers["webhook-id"]).toBe(received.body.eventId);
});
