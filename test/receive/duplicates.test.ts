/** Repeats within one replica: what makes one, what it is answered, and that it is not delivered again (DESIGN §5, Duplicates). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Answer, hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import {
  type CreatedWebhook,
  createWebhook,
  eventsOf,
  githubHeaders,
  readEvent,
  sendHub,
  standardHeaders,
  stripeHeaders,
} from "./senders.ts";

const GUID_1 = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
const GUID_2 = "8a1c0a52-cc78-11e3-8d1a-1c1b0dd9b3f5";

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

const outcome = ({ status, body }: Answer) => [status, body.duplicate];
const fresh = [200, false];

async function reused(answer: Answer): Promise<boolean> {
  return (await readEvent(service.api, answer.body.eventId)).sourceEventIdReused;
}

/** Waits until the `count` deliveries that are owed have arrived, and sees that no further one is owed. */
async function deliveredExactly(webhook: CreatedWebhook, count: number): Promise<void> {
  await destination.arrived(count);
  const { body } = await service.api.get(`/webhooks/${webhook.id}/deliveries`);
  expect(body.items).toHaveLength(count);
  expect(destination.arrivals).toHaveLength(count);
}

/** A body with the id `evt_1`, sent as stripe would. */
async function sendStripe(webhook: CreatedWebhook, n: number, ago = 0): Promise<Answer> {
  const body = JSON.stringify({ id: "evt_1", type: "invoice.paid", n });
  const timestamp = Math.floor(Date.now() / 1_000) - ago;
  return await send(webhook.receiveUrl, body, stripeHeaders(webhook.secret, body, timestamp));
}

describe("a signed id (stripe)", () => {
  test("the same id and body, signed anew: a duplicate of the first event, not delivered again", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe", url: destination.url });
    const first = await sendStripe(webhook, 1);
    expect(outcome(first)).toEqual(fresh);
    for (const ago of [0, 5, 100]) {
      const again = await sendStripe(webhook, 1, ago);
      expect(again.body).toEqual({ received: true, eventId: first.body.eventId, duplicate: true });
      expect(again.status).toBe(200);
    }
    expect(await reused(first)).toBe(false);
    expect(await eventsOf(service.api, webhook)).toHaveLength(1);
    await deliveredExactly(webhook, 1);
  });

  test("the same id with another body: recorded, flagged, delivered; its own repeat is a duplicate of it", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe", url: destination.url });
    const first = await sendStripe(webhook, 1);
    const second = await sendStripe(webhook, 2);
    const third = await sendStripe(webhook, 3);
    expect([first, second, third].map(outcome)).toEqual([fresh, fresh, fresh]);
    expect(await Promise.all([first, second, third].map(reused))).toEqual([false, true, true]);
    for (const [n, answer] of [
      [1, first],
      [2, second],
      [3, third],
    ] as const) {
      expect((await sendStripe(webhook, n)).body).toEqual({ ...answer.body, duplicate: true });
    }
    expect(new Set([first, second, third].map((answer) => answer.body.eventId)).size).toBe(3);
    await deliveredExactly(webhook, 3);
  });

  test("the id belongs to the webhook: another webhook's event is no repeat", async () => {
    for (let n = 0; n < 2; n++) {
      expect(outcome(await sendStripe(await createWebhook(service.api, { source: "stripe" }), 1))).toEqual(fresh);
    }
  });

  test("a duplicate must be signed like any other", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe" });
    const other = await createWebhook(service.api, { source: "stripe" });
    await sendStripe(webhook, 1);
    expect((await sendStripe({ ...webhook, secret: other.secret }, 1)).status).toBe(401);
  });

  test("bodies without an id are never dropped", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe" });
    const body = '{"type":"invoice.paid"}';
    const answers = [];
    for (let n = 0; n < 3; n++) {
      answers.push(await send(webhook.receiveUrl, body, stripeHeaders(webhook.secret, body)));
    }
    expect(answers.map(outcome)).toEqual([fresh, fresh, fresh]);
  });
});

test("standardwebhooks: the signed webhook-id decides", async () => {
  const webhook = await createWebhook(service.api, { source: "standardwebhooks" });
  const post = async (id: string, body: string) =>
    await send(webhook.receiveUrl, body, standardHeaders(webhook.secret, body, id));
  const first = await post("msg_1", '{"type":"a"}');
  expect((await post("msg_1", '{"type":"a"}')).body).toEqual({ ...first.body, duplicate: true });
  expect(outcome(await post("msg_2", '{"type":"a"}'))).toEqual(fresh);
  const other = await post("msg_1", '{"type":"b"}');
  expect(outcome(other)).toEqual(fresh);
  expect(await reused(other)).toBe(true);
});

describe("github: the delivery id is not signed, so the body decides and the id only flags", () => {
  const post = async (webhook: CreatedWebhook, delivery: string, n: number) => {
    const body = JSON.stringify({ action: "opened", n });
    return await send(webhook.receiveUrl, body, await githubHeaders(webhook.secret, body, { delivery }));
  };

  test("the same body is a duplicate, whatever the delivery id", async () => {
    const webhook = await createWebhook(service.api, { source: "github", url: destination.url });
    const first = await post(webhook, GUID_1, 1);
    expect(outcome(first)).toEqual(fresh);
    expect((await post(webhook, GUID_1, 1)).body).toEqual({ ...first.body, duplicate: true });
    expect((await post(webhook, GUID_2, 1)).body).toEqual({ ...first.body, duplicate: true });
    await deliveredExactly(webhook, 1);
  });

  test("the same delivery id with another body is recorded, flagged and delivered", async () => {
    const webhook = await createWebhook(service.api, { source: "github", url: destination.url });
    const first = await post(webhook, GUID_1, 1);
    const second = await post(webhook, GUID_1, 2);
    const third = await post(webhook, GUID_2, 3);
    expect([first, second, third].map(outcome)).toEqual([fresh, fresh, fresh]);
    expect(await Promise.all([first, second, third].map(reused))).toEqual([false, true, false]);
    expect((await post(webhook, GUID_2, 2)).body).toEqual({ ...second.body, duplicate: true });
    await deliveredExactly(webhook, 3);
  });
});

test("custom's hub form carries no id: equal requests are all events, and all are delivered", async () => {
  const webhook = await createWebhook(service.api, { url: destination.url });
  const body = '{"id":"evt_1","type":"a"}';
  const one = await sendHub(webhook, body);
  const two = await sendHub(webhook, body);
  const many = await Promise.all(
    Array.from({ length: 10 }, () => send(webhook.receiveUrl, body, hubSignature(webhook.secret, body))),
  );
  expect(many.map(outcome)).toEqual(many.map(() => fresh));
  expect(new Set([one, two, ...many.map((answer) => answer.body.eventId)]).size).toBe(12);
  await deliveredExactly(webhook, 12);
});

test("a filtered event is repeated like any other", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe", url: destination.url, events: ["other"] });
  const first = await sendStripe(webhook, 1);
  expect((await sendStripe(webhook, 1)).body).toEqual({ ...first.body, duplicate: true });
  await deliveredExactly(webhook, 0);
});

describe("once the window is over", () => {
  const endWindow = async ({ id }: CreatedWebhook) => {
    const { rowCount } = await service.pool.query(
      "update event_dedupe set expires_at = now() - interval '1 second' where webhook_id = $1",
      [id],
    );
    expect(rowCount).toBeGreaterThan(0);
  };

  test("the same id and body are a new event, which begins a window of its own", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe", url: destination.url });
    const first = await sendStripe(webhook, 1);
    await endWindow(webhook);
    const second = await sendStripe(webhook, 1);
    expect(outcome(second)).toEqual(fresh);
    expect(second.body.eventId).not.toBe(first.body.eventId);
    expect(await reused(second)).toBe(false);
    expect((await sendStripe(webhook, 1)).body).toEqual({ ...second.body, duplicate: true });
    await deliveredExactly(webhook, 2);
  });

  test("another body no longer counts as a reuse", async () => {
    const webhook = await createWebhook(service.api, { source: "stripe" });
    await sendStripe(webhook, 1);
    await endWindow(webhook);
    expect(await reused(await sendStripe(webhook, 2))).toBe(false);
    expect(await reused(await sendStripe(webhook, 1))).toBe(true);
  });
});
