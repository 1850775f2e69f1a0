/** What an organization is told of its webhooks and deliveries, how it reaches its `system` webhooks, and when not. */
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expireDeliveries } from "../../src/store/sql/expire.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook } from "./forwarding.ts";
import { createListener, type Listener, payloadOf, tellNow } from "./operational-scene.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;
let listener: Listener;

beforeAll(async () => {
  service = await startService({ env: { DELIVERY_SCHEDULE: "0s,20ms" } });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  listener = await createListener(service);
  return async () => {
    // The next test's webhooks are not to be told to this one's.
    await service.api.delete(`/webhooks/${listener.id}`);
    await service.api.delete(`/webhooks/${webhook.id}`);
    await Promise.all([destination.close(), listener.close()]);
  };
});
afterAll(async () => {
  await service?.stop();
});

const noticesLeft = async () => (await service.pool.query("select 1 from notices")).rows.length;
const nothingIsLeft = () => eventually("every notice is told", async () => (await noticesLeft()) === 0);

describe("delivery.exhausted", () => {
  test("tells which delivery and why, signed like any other", async () => {
    destination.behave(answer(503));
    const eventId = await webhook.sendEvent();
    const failed = await webhook.settled(eventId, "failed", 2);
    const [told] = await listener.told(1);
    expect(told).toEqual({
      type: "delivery.exhausted",
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      createdAt: expect.stringMatching(TIME),
      data: {
        webhookId: webhook.id,
        webhookName: "forwards",
        count: 1,
        deliveryId: failed.id,
        eventId,
        eventType: "order.paid",
        url: destination.url,
        attemptCount: 2,
        statusCode: 503,
        errorCode: "http_status",
        errorMessage: failed.response.errorMessage,
      },
    });
    const [arrival] = listener.destination.arrivals;
    const headers = arrival?.headers as Record<string, string>;
    expect(headers).toMatchObject({ "content-type": "application/json", "alumia-event-type": "delivery.exhausted" });
    const verifier = new StandardWebhook(listener.forwardSecret);
    expect(verifier.verify(arrival?.body.toString() ?? "", headers)).toEqual(told);
    const [event] = await listener.events();
    expect(event).toMatchObject({
      id: headers["webhook-id"],
      type: "delivery.exhausted",
      sourceEventId: told.id,
      status: "received",
      verified: true,
      scheme: "system",
      synthetic: false,
    });
    await nothingIsLeft();
  });

  test("also where a worker died over the last attempt, and where the history ended first", async () => {
    await webhook.patch({ status: "paused" });
    const [lost, old] = [await webhook.sendEvent('{"n":1}'), await webhook.sendEvent('{"n":2}')];
    await webhook.settled(old, "paused");
    const [lostId, oldId] = [(await webhook.deliveryOf(lost)).id, (await webhook.deliveryOf(old)).id];
    const client = await service.pool.connect();
    await expireDeliveries(client, [oldId], "too old").finally(() => client.release());
    await tellNow(service, listener);
    const [first] = await listener.told(1);
    expect(first.data).toMatchObject({
      deliveryId: oldId,
      eventId: old,
      errorCode: "expired",
      errorMessage: "too old",
    });
    await service.pool.query(
      `update delivery_queue set held = false, attempts = 100, step = 100, due_at = now() - interval '1 minute',
         started_at = now() - interval '2 minutes', lease_token = gen_random_uuid() where delivery_id = $1`,
      [lostId],
    );
    service.app.worker.wake();
    await webhook.settled(lost, "failed");
    await tellNow(service, listener);
    const [, second] = await listener.told(2);
    expect(second.data).toMatchObject({ deliveryId: lostId, attemptCount: 100, errorCode: "interrupted" });
  });

  test("many in one minute are counted, and told in one sum when it is over", async () => {
    // It answers, so its circuit stays closed.
    destination.behave(answer(404));
    await Promise.all(Array.from({ length: 25 }, (_, n) => webhook.sendEvent(`{"n":${n}}`)));
    await eventually("all 25 are accounted for", async () => {
      const { rows } = await service.pool.query("select told, further from notice_floods where webhook_id = $1", [
        webhook.id,
      ]);
      return Number(rows[0]?.told) === 10 && Number(rows[0]?.further) === 15;
    });
    await nothingIsLeft();
    const told = await listener.told(10);
    expect(new Set(told.map(({ data }) => data.deliveryId)).size).toBe(10);

    await service.pool.query("update notice_floods set until = until - interval '1 minute'");
    await tellNow(service, listener);
    const sum = (await listener.told(11))[10];
    expect(sum).toEqual({
      type: "delivery.exhausted",
      id: expect.any(String),
      createdAt: expect.stringMatching(TIME),
      data: {
        webhookId: webhook.id,
        webhookName: "forwards",
        count: 15,
        since: expect.stringMatching(TIME),
        until: expect.stringMatching(TIME),
      },
    });
    await service.pool.query("update notice_floods set until = until - interval '1 minute'");
    await tellNow(service, listener);
    await eventually("the flood is over", async () => {
      const { rows } = await service.pool.query("select 1 from notice_floods where webhook_id = $1", [webhook.id]);
      return rows.length === 0;
    });
    expect(await listener.events()).toHaveLength(11);
  });
});

describe("forwarding.stopped and forwarding.resumed", () => {
  test("a 410 and a resume, in their order", async () => {
    destination.behave(answer(410));
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "paused", 1);
    const { stoppedAt } = (await webhook.read()).forwarding;
    destination.behave(answer(200));
    await webhook.patch({ forwarding: { state: "active" } });
    await webhook.settled(eventId, "succeeded");
    await eventually("both are recorded", async () => (await listener.events()).length === 2);
    const about = { webhookId: webhook.id, webhookName: "forwards", count: 1, url: destination.url };
    expect((await listener.events()).map(({ type }) => type)).toEqual(["forwarding.stopped", "forwarding.resumed"]);
    const told = await listener.told(2);
    const byType = new Map(told.map((one) => [one.type, one.data]));
    expect(byType.get("forwarding.stopped")).toEqual({ ...about, reason: "gone", stoppedAt, failingSince: null });
    expect(byType.get("forwarding.resumed")).toEqual({ ...about, reason: "gone", stoppedAt });
  });

  test("by hand, and by another url; whatever the url holds", async () => {
    const url = `${destination.url}?it's="a\\%7B%7D`;
    await webhook.patch({ url });
    await webhook.patch({ forwarding: { state: "stopped" } });
    await webhook.patch({ forwarding: { state: "stopped" } });
    await webhook.patch({ url: destination.url });
    await eventually("both are recorded", async () => (await listener.events()).length === 2);
    const told = await listener.told(2);
    const byType = new Map(told.map((one) => [one.type, one.data]));
    expect(byType.get("forwarding.stopped")).toMatchObject({ reason: "manual", url });
    expect(byType.get("forwarding.resumed")).toMatchObject({ reason: "manual", url: destination.url });
  });

  test("a pause, and a url that is removed, are no stop", async () => {
    await webhook.patch({ status: "paused" });
    await webhook.patch({ status: "active" });
    await webhook.patch({ url: null });
    await webhook.patch({ forwarding: { state: "stopped" } });
    expect(await noticesLeft()).toBe(0);
    expect(await listener.events()).toEqual([]);
  });
});

describe("who is told", () => {
  test("never of a system webhook itself: no loop", async () => {
    listener.destination.behave(answer(500));
    destination.behave(answer(500));
    await webhook.settled(await webhook.sendEvent(), "failed");
    const failed = await eventually("the event about it fails too", async () => {
      const { body } = await service.api.get(`/webhooks/${listener.id}/deliveries`);
      return body.items[0]?.status === "failed" && body.items[0];
    });
    listener.destination.behave(answer(410));
    await service.api.post(`/webhooks/deliveries/${failed.id}/retry`);
    await eventually("it is stopped", async () => {
      const { body } = await service.api.get(`/webhooks/${listener.id}`);
      return body.forwarding.state === "stopped";
    });
    await service.api.patch(`/webhooks/${listener.id}`, { forwarding: { state: "active" } });
    expect(await noticesLeft()).toBe(0);
    expect(await listener.events()).toHaveLength(1);
  });

  test("each webhook by its allowlist; paused ones later, disabled ones and other organizations never", async () => {
    const others = await service.otherOrganization();
    const stops = await createListener(service, { events: ["forwarding.*"] });
    const paused = await createListener(service, { status: "paused" });
    const disabled = await createListener(service, { status: "disabled" });
    const stranger = await createListener({ api: others });
    const without = await createListener(service, { url: null });
    destination.behave(answer(410));
    const held = await webhook.sendEvent();
    await webhook.settled(held, "paused", 1);
    destination.behave(answer(200));
    await webhook.patch({ forwarding: { state: "active" } });
    await webhook.settled(held, "succeeded");
    destination.behave(answer(500));
    await webhook.settled(await webhook.sendEvent(), "failed");
    await listener.told(3);
    await nothingIsLeft();
    expect((await stops.events()).map(({ type }) => type)).toEqual(["forwarding.stopped", "forwarding.resumed"]);
    expect(await paused.events()).toHaveLength(3);
    expect(await without.events()).toHaveLength(3);
    expect(paused.destination.arrivals).toEqual([]);
    await service.api.patch(`/webhooks/${paused.id}`, { enabled: true });
    expect(await paused.told(3)).toHaveLength(3);
    expect(await disabled.events()).toEqual([]);
    expect((await others.get(`/webhooks/${stranger.id}/events`)).body.items).toEqual([]);
    for (const one of [stops, paused, disabled, without]) {
      await service.api.delete(`/webhooks/${one.id}`);
      await one.close();
    }
    await stranger.close();
  });

  test("nobody: then nothing is noted", async () => {
    await service.api.delete(`/webhooks/${listener.id}`);
    destination.behave(answer(500));
    await webhook.settled(await webhook.sendEvent(), "failed");
    await webhook.patch({ forwarding: { state: "stopped" } });
    expect(await noticesLeft()).toBe(0);
  });

  test("a replay and a retry of an operational event are as of any", async () => {
    destination.behave(answer(500));
    await webhook.settled(await webhook.sendEvent(), "failed");
    const [told] = await listener.told(1);
    const [event] = await listener.events();
    const replayed = await service.api.post(`/webhooks/events/${event.id}/replay`);
    expect(replayed.status).toBe(200);
    const arrivals = await listener.destination.arrived(2);
    expect(arrivals.map(payloadOf)).toEqual([told, told]);
  });
});
