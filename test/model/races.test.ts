/**
 * Anything that may be done to a webhook, on either of two replicas, some of it at the same time: whatever the answers,
 * some order of the operations explains them and what became of the deliveries, and in the end everything that is owed
 * is delivered. MODEL_SEED repeats a run, MODEL_MS makes it longer.
 */
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWebhook } from "../receive/senders.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { examineStore } from "../support/doctor.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { type Model, type Real, Step, steps } from "./races.ts";

const RUN_MS = Number(process.env.MODEL_MS ?? 8_000);
const SEED = Number(process.env.MODEL_SEED ?? 20_260_101);
const RUNS_MAX = 100_000;
/** The model's schedule: SCHEDULED_ATTEMPTS, none of them quick. */
const env = { DELIVERY_SCHEDULE: "0s,1h,2h" };
const clock = new ManualClock();
let replicas: [TestService, TestService];
let destinations: [Destination, Destination];

beforeAll(async () => {
  const first = await startService({ env, clock });
  replicas = [first, await startService({ env, clock, replicaOf: first })];
  destinations = [await startDestination(), await startDestination()];
});
afterAll(async () => {
  await replicas?.[1].stop();
  await replicas?.[0].stop();
  for (const destination of destinations ?? []) await destination.close();
});

async function begin(): Promise<{ model: Model; real: Real }> {
  const url = destinations[0].url;
  const webhook = await createWebhook(replicas[0].api, { source: "standardwebhooks", url });
  const real: Real = {
    replicas,
    clock,
    destinations,
    webhook,
    secrets: [webhook.secret],
    replayed: new Set(),
    up: true,
  };
  for (const destination of destinations) {
    destination.behave((_arrival, response) => response.writeHead(real.up ? 200 : 500).end());
  }
  const secrets = [{ text: webhook.secret, endsAtMs: null }];
  const state = { exists: true, status: "active", url, secrets, nowMs: 0, up: true } as const;
  return { model: { states: [{ ...state, events: new Map(), reused: new Set(), deliveries: new Map() }] }, real };
}

/** Lets everything flow again: what was owed arrives, as often as it was attempted and no more, and nothing else does. */
async function conclude(model: Model, real: Real): Promise<void> {
  const last = [
    { kind: "destination", up: true },
    { kind: "url", url: 0 },
    { kind: "status", status: "active" },
    { kind: "queue" },
  ] as const;
  for (const one of last) await new Step([{ ...one, replica: 1 }]).run(model, real);
  const { id } = real.webhook;
  const { body: webhook } = await replicas[0].api.get(`/webhooks/${id}`);
  const { body: events } = await replicas[0].api.get(`/webhooks/${id}/events?limit=100`);
  const { body: deliveries } = await replicas[0].api.get(`/webhooks/${id}/deliveries?limit=100`);
  const [state] = model.states;
  expect(model.states.every(({ exists }) => exists === state?.exists)).toBe(true);
  if (!state?.exists) return;

  const unfinished = deliveries.items.filter(({ status }: { status: string }) =>
    /pending|paused|delivering/.test(status),
  );
  expect(unfinished).toEqual([]);
  const recorded = new Map(
    events.items.map((one: { id: string; sourceEventIdReused: boolean }) => [one.id, one.sourceEventIdReused]),
  );
  const expected = (one: (typeof model.states)[number]) =>
    new Map([...one.events.values()].map((event) => [event, one.reused.has(event)]));
  expect(model.states.map(expected)).toContainEqual(recorded);
  const attempts = new Map<string, number>([...state.events.values()].map((event) => [event, 0]));
  for (const { eventId, attemptCount } of deliveries.items) {
    attempts.set(eventId, (attempts.get(eventId) ?? 0) + attemptCount);
  }
  const arrivals = destinations
    .flatMap((one) => one.arrivals)
    .filter(({ headers }) => headers["alumia-webhook-id"] === id);
  const arrived = new Map<string, number>([...state.events.values()].map((event) => [event, 0]));
  for (const { headers } of arrivals) {
    const event = String(headers["webhook-id"]);
    arrived.set(event, (arrived.get(event) ?? 0) + 1);
  }
  expect(arrived).toEqual(attempts);
  const attempted = deliveries.items.filter(({ attemptCount }: { attemptCount: number }) => attemptCount > 0);
  expect(webhook.deliveryCount).toBe(attempted.length);
}

test("some order of the operations explains every answer and every delivery", {
  timeout: RUN_MS + 60_000,
}, async () => {
  const property = fc.asyncProperty(steps, async (commands) => {
    const startMs = clock.now();
    const { model, real } = await begin();
    await fc.asyncModelRun(() => ({ model, real }), commands);
    await conclude(model, real);
    clock.advance(startMs - clock.now());
  });
  await fc.assert(property, {
    seed: SEED,
    numRuns: RUNS_MAX,
    interruptAfterTimeLimit: RUN_MS,
    markInterruptAsFailure: false,
  });
  expect(await examineStore(replicas[0].pool)).toEqual([]);
});
