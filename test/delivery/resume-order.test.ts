/** What was held is released in the order in which it came, no faster than its destination takes it. */
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook } from "./forwarding.ts";

const EVENTS = 40;
let service: TestService;
let destination: Destination;

beforeAll(async () => {
  // A destination has half: one attempt at a time.
  const env = { DELIVERY_CONCURRENCY: "2", DELIVERY_TIMEOUT_MS: "60000" };
  [service, destination] = await Promise.all([startService({ env }), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test.each([
  ["a pause", { status: "paused" }, { status: "active" }],
  ["a stop", { forwarding: { state: "stopped" } }, { forwarding: { state: "active" } }],
])("after %s", async (_what, halt, resume) => {
  const webhook = await createForwardingWebhook(service, destination.url);
  await webhook.patch(halt);
  const eventIds: string[] = [];
  for (let n = 0; n < EVENTS; n++) eventIds.push(await webhook.sendEvent(JSON.stringify({ n })));
  await eventually("all are held", async () => {
    const { rows } = await service.pool.query("select 1 from delivery_queue where webhook_id = $1 and held", [
      webhook.id,
    ]);
    return rows.length === EVENTS;
  });
  const before = destination.arrivals.length;
  let waiting: ServerResponse | undefined;
  let mostAtOnce = 0;
  destination.behave((_arrival, response) => {
    mostAtOnce = Math.max(mostAtOnce, waiting ? 2 : 1);
    waiting = response;
  });
  await webhook.patch(resume);
  for (let n = 1; n <= EVENTS; n++) {
    await destination.arrived(before + n);
    const response = waiting;
    waiting = undefined;
    response?.writeHead(200).end();
  }
  for (const eventId of eventIds) await webhook.settled(eventId, "succeeded", 1);
  expect(mostAtOnce).toBe(1);
  const came = destination.arrivals.slice(before).map(({ body }) => JSON.parse(body.toString()).n);
  expect(came).toEqual(Array.from({ length: EVENTS }, (_, n) => n));
});
