/** Repeats that arrive at the same moment: in one batch, in two batches, on two replicas. One event comes of them. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Answer, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import {
  type CreatedWebhook,
  createWebhook,
  eventsOf,
  githubHeaders,
  readEvent,
  receiveUrlAt,
  stripeHeaders,
} from "./senders.ts";

const COPIES = 50;

let service: TestService;
let replica: TestService;
let destination: Destination;

beforeAll(async () => {
  service = await startService();
  replica = await startService({ replicaOf: service });
});
beforeEach(async () => {
  destination = await startDestination();
  return async () => await destination.close();
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

/** Sends body `n` with the id `id`, as stripe would, to one replica. */
async function sendStripe(webhook: CreatedWebhook, origin: string, n: number, id = "evt_1"): Promise<Answer> {
  const body = JSON.stringify({ id, type: "invoice.paid", n });
  return await send(receiveUrlAt(origin, webhook), body, stripeHeaders(webhook.secret, body));
}

/** Exactly one of the answers stands for a new event, and all name it. */
function expectOneEvent(answers: readonly Answer[]): string {
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
  expect(answers.filter((answer) => !answer.body.duplicate)).toHaveLength(1);
  const ids = [...new Set<string>(answers.map((answer) => answer.body.eventId))];
  expect(ids).toHaveLength(1);
  return ids[0] ?? "";
}

async function owedOf(webhook: CreatedWebhook): Promise<number> {
  const { rows } = await service.pool.query("select 1 from deliveries where webhook_id = $1", [webhook.id]);
  return rows.length;
}

test.each([
  ["one replica", () => [service.url]],
  ["two replicas", () => [service.url, replica.url]],
] as const)("%s: fifty copies at once are one event, delivered once", async (_name, originsOf) => {
  const origins = originsOf();
  const webhook = await createWebhook(service.api, { source: "stripe", url: destination.url });
  const answers = await Promise.all(
    Array.from({ length: COPIES }, (_, n) => sendStripe(webhook, origins[n % origins.length] ?? "", 1)),
  );
  const eventId = expectOneEvent(answers);
  expect((await eventsOf(service.api, webhook)).map((event) => event.id)).toEqual([eventId]);
  const [arrival] = await destination.arrived(1);
  expect(arrival?.headers["webhook-id"]).toBe(eventId);
  expect(await owedOf(webhook)).toBe(1);
  expect(destination.arrivals).toHaveLength(1);
});

test("two replicas, one id, five bodies: five events, all but one of them flagged", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe" });
  const bodies = [1, 2, 3, 4, 5];
  const sent = await Promise.all(
    Array.from({ length: COPIES }, async (_, at) => {
      const n = bodies[at % bodies.length] ?? 0;
      return { n, answer: await sendStripe(webhook, at % 2 ? service.url : replica.url, n) };
    }),
  );
  for (const n of bodies) expectOneEvent(sent.filter((one) => one.n === n).map((one) => one.answer));
  const events = await eventsOf(service.api, webhook);
  expect(events).toHaveLength(bodies.length);
  expect(events.filter((event) => event.sourceEventIdReused)).toHaveLength(bodies.length - 1);
});

test("two replicas, many ids in opposite order: no deadlock, each id one event", async () => {
  const webhook = await createWebhook(service.api, { source: "stripe" });
  const ids = Array.from({ length: 100 }, (_, n) => `evt_${n}`);
  const sent = await Promise.all([
    ...ids.map(async (id) => ({ id, answer: await sendStripe(webhook, service.url, 1, id) })),
    ...ids.toReversed().map(async (id) => ({ id, answer: await sendStripe(webhook, replica.url, 1, id) })),
  ]);
  for (const id of ids) expectOneEvent(sent.filter((one) => one.id === id).map((one) => one.answer));
  const { rows } = await service.pool.query("select 1 from events where webhook_id = $1", [webhook.id]);
  expect(rows).toHaveLength(ids.length);
});

test("two replicas, github: one body under many delivery ids is one event", async () => {
  const webhook = await createWebhook(service.api, { source: "github" });
  const body = '{"action":"opened"}';
  const answers = await Promise.all(
    Array.from({ length: COPIES }, async (_, n) => {
      const headers = await githubHeaders(webhook.secret, body, { delivery: `guid-${n}` });
      return await send(receiveUrlAt(n % 2 ? service.url : replica.url, webhook), body, headers);
    }),
  );
  const eventId = expectOneEvent(answers);
  expect(await readEvent(service.api, eventId)).toMatchObject({ sourceEventIdReused: false });
});

test("two replicas, github: one delivery id under many bodies loses none, and flags all but one", async () => {
  const webhook = await createWebhook(service.api, { source: "github" });
  const answers = await Promise.all(
    Array.from({ length: COPIES }, async (_, n) => {
      const body = JSON.stringify({ action: "opened", n });
      const headers = await githubHeaders(webhook.secret, body);
      return await send(receiveUrlAt(n % 2 ? service.url : replica.url, webhook), body, headers);
    }),
  );
  expect(answers.filter((answer) => answer.status === 200 && !answer.body.duplicate)).toHaveLength(COPIES);
  const events = await eventsOf(service.api, webhook);
  expect(events).toHaveLength(COPIES);
  expect(events.filter((event) => !event.sourceEventIdReused)).toHaveLength(1);
});
