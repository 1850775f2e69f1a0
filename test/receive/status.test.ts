/** What the webhook's allowlist and status mean for what comes in. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createWebhook, eventsOf, githubHeaders, type Json, readEvent, refused, sendHub } from "./senders.ts";

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  service = await startService();
});
beforeEach(async () => {
  destination = await startDestination();
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

const deliveriesOf = async (id: string): Promise<Json[]> =>
  (await service.api.get(`/webhooks/${id}/deliveries?limit=100`)).body.items;

describe("allowlist", () => {
  const cases: [type: string | null, status: string][] = [
    ["order.paid", "received"],
    ["invoice.voided", "received"],
    ["invoice.line.added", "received"],
    ["invoice", "filtered"],
    ["order.paid.late", "filtered"],
    ["ORDER.PAID", "filtered"],
    [null, "filtered"],
  ];

  test("what is not on it is recorded as filtered and not forwarded", async () => {
    const webhook = await createWebhook(service.api, { url: destination.url, events: ["order.paid", "invoice.*"] });
    for (const [type, status] of cases) {
      const eventId = await sendHub(webhook, JSON.stringify(type === null ? {} : { type }));
      expect(await readEvent(service.api, eventId), `${type}`).toMatchObject({ type, status, verified: true });
    }
    const arrivals = await destination.arrived(3);
    const wanted = cases.filter(([, status]) => status === "received").map(([type]) => type);
    expect(arrivals.map((arrival) => JSON.parse(arrival.body.toString()).type).toSorted()).toEqual(wanted.toSorted());
    expect(await deliveriesOf(webhook.id)).toHaveLength(3);
  });

  test("the type of the source counts, not that of the body", async () => {
    const webhook = await createWebhook(service.api, { source: "github", events: ["issues.opened"] });
    const taken = '{"action":"opened","type":"other"}';
    const left = '{"action":"closed","type":"issues.opened"}';
    for (const [body, status] of [
      [taken, "received"],
      [left, "filtered"],
    ] as const) {
      const headers = await githubHeaders(webhook.secret, body, { delivery: status });
      const answer = await send(webhook.receiveUrl, body, headers);
      expect(await readEvent(service.api, answer.body.eventId)).toMatchObject({ status });
    }
  });

  test("a change of it is in force for the next event", async () => {
    const webhook = await createWebhook(service.api, { events: ["a"] });
    const statusOf = async (body: string) => (await readEvent(service.api, await sendHub(webhook, body))).status;
    expect(await statusOf('{"type":"b","n":1}')).toBe("filtered");
    await service.api.patch(`/webhooks/${webhook.id}`, { events: ["b"] });
    expect(await statusOf('{"type":"b","n":2}')).toBe("received");
    expect(await statusOf('{"type":"a","n":3}')).toBe("filtered");
    await service.api.patch(`/webhooks/${webhook.id}`, { events: [] });
    expect(await statusOf('{"n":4}')).toBe("received");
  });
});

test("paused: events are recorded, their deliveries wait, and all go out once when it is active again", async () => {
  const webhook = await createWebhook(service.api, { url: destination.url, status: "paused" });
  const sent: string[] = [];
  for (let n = 0; n < 10; n++) sent.push(await sendHub(webhook, JSON.stringify({ n })));
  const held = await deliveriesOf(webhook.id);
  expect(held.map((delivery) => delivery.eventId).toSorted()).toEqual(sent.toSorted());
  expect(new Set(held.map(({ status, attemptCount }) => `${status} ${attemptCount}`))).toEqual(new Set(["paused 0"]));
  await service.advanceQueue(86_400_000);
  expect(destination.arrivals).toEqual([]);

  await service.api.patch(`/webhooks/${webhook.id}`, { status: "active" });
  const arrivals = await destination.arrived(10);
  expect(arrivals.map((arrival) => arrival.headers["webhook-id"]).toSorted()).toEqual(sent.toSorted());
  await eventually("all are recorded as succeeded", async () =>
    (await deliveriesOf(webhook.id)).every(({ status, attemptCount }) => status === "succeeded" && attemptCount === 1),
  );
  expect(destination.arrivals).toHaveLength(10);
});

test("disabled: 403, nothing is recorded, nothing is owed; active again: taken", async () => {
  const webhook = await createWebhook(service.api, { url: destination.url });
  await sendHub(webhook, '{"n":0}');
  await destination.arrived(1);
  await service.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
  for (let n = 1; n <= 3; n++) {
    const body = JSON.stringify({ n });
    const answer = await send(webhook.receiveUrl, body, hubSignature(webhook.secret, body));
    expect(refused(answer)).toEqual([403, "FORBIDDEN"]);
  }
  // Whether the sender knows the secret is not told either.
  expect(refused(await send(webhook.receiveUrl, "{}", {}))).toEqual([403, "FORBIDDEN"]);
  expect(await eventsOf(service.api, webhook)).toHaveLength(1);
  expect(await deliveriesOf(webhook.id)).toHaveLength(1);

  await service.api.patch(`/webhooks/${webhook.id}`, { status: "active" });
  await sendHub(webhook, '{"n":4}');
  const arrivals = await destination.arrived(2);
  expect(arrivals.map((arrival) => arrival.body.toString())).toEqual(['{"n":0}', '{"n":4}']);
});

test("deleted: 404 at once, its events are gone from the lists", async () => {
  const webhook = await createWebhook(service.api);
  const eventId = await sendHub(webhook, '{"n":0}');
  await service.api.delete(`/webhooks/${webhook.id}`);
  const answer = await send(webhook.receiveUrl, "{}", hubSignature(webhook.secret, "{}"));
  expect(refused(answer)).toEqual([404, "NOT_FOUND"]);
  expect((await service.api.get(`/webhooks/events/${eventId}`)).status).toBe(404);
});
