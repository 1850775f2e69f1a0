/**
 * The state diagram of the README: every way from one state to another is gone here, and in each state a delivery is
 * found by the filter of its status, in both lists, and by no other.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { expireDeliveries } from "../../src/store/sql/expire.ts";
import { transaction } from "../../src/store/transaction.ts";
import { runJob } from "../bulk/jobs.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook } from "./forwarding.ts";

const DAY_MS = 86_400_000;
const STATES = ["pending", "delivering", "paused", "succeeded", "failed", "canceled"];
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;
/** Ends the attempts that are under way, with a status. */
let finish: (status: number) => void;

beforeAll(async () => {
  service = await startService({ env: { DELIVERY_SCHEDULE: "0s,1h", DELIVERY_CONCURRENCY: "1" } });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

/** Attempts are under way until `finish`. */
function hang(): void {
  const waiting: ((status: number) => void)[] = [];
  destination.behave((_arrival, response) => void waiting.push((status) => response.writeHead(status).end()));
  finish = (status) => {
    destination.behave(answer(status));
    for (const end of waiting.splice(0)) end(status);
  };
}

/** Ways into each state, from nothing; they resolve to the event's id. */
const BEGINNINGS: Readonly<Record<string, () => Promise<string>>> = {
  pending: async () => {
    destination.behave(answer(500));
    return await webhook.sendEvent();
  },
  delivering: async () => {
    hang();
    const eventId = await webhook.sendEvent();
    await destination.arrived(1);
    return eventId;
  },
  paused: async () => {
    await webhook.patch({ status: "paused" });
    return await webhook.sendEvent();
  },
  succeeded: () => webhook.sendEvent(),
  failed: async () => {
    destination.behave(answer(500));
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "pending", 1);
    await service.advanceQueue(DAY_MS);
    return eventId;
  },
  canceled: async () => {
    await webhook.patch({ status: "paused" });
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "paused");
    await act(eventId, "cancel");
    await webhook.patch({ status: "active" });
    return eventId;
  },
};

async function act(eventId: string, verb: "retry" | "cancel"): Promise<void> {
  const { id } = await webhook.deliveryOf(eventId);
  expect((await service.api.post(`/webhooks/deliveries/${id}/${verb}`)).status).toBe(200);
}

async function expire(eventId: string): Promise<void> {
  const { id } = await webhook.deliveryOf(eventId);
  const given = await transaction(service.pool, (client) => expireDeliveries(client, [id], "too old"));
  expect(given).toBe(1);
}

/** A retry, by hand and in bulk, whose attempt is still to come: the only slot is taken. */
async function retryBehindAnother(eventId: string, retry: () => Promise<unknown>): Promise<void> {
  const other = await startDestination();
  const busy = await createForwardingWebhook(service, other.url);
  const ends: (() => void)[] = [];
  other.behave((_arrival, response) => void ends.push(() => response.end()));
  const before = await busy.sendEvent();
  await other.arrived(1);
  await retry();
  await found(eventId, ["pending", "delivering"]);
  destination.behave(answer(200));
  other.behave(answer(200));
  for (const end of ends) end();
  await busy.settled(before, "succeeded");
  await webhook.settled(eventId, "succeeded");
  await other.close();
}

const bulk = (action: string, status: string) => async () => {
  const job = await runJob(service.api, { action, filter: { webhookId: webhook.id, status: [status] } });
  expect(job).toMatchObject({ matched: 1, done: 1 });
};

/** Ways on, by the states that they lead from and to. */
const WAYS: Readonly<Record<string, (eventId: string) => Promise<unknown>>> = {
  "[*] → pending": async () => {},
  "[*] → paused": async () => {},
  "pending → delivering": async () => {
    hang();
    await service.advanceQueue(DAY_MS);
  },
  "delivering → succeeded": async () => finish(200),
  "delivering → pending": async () => finish(500),
  "delivering → failed": async (eventId) => {
    finish(500);
    await webhook.settled(eventId, "pending", 1);
    await service.advanceQueue(DAY_MS);
  },
  "pending → paused": () => webhook.patch({ status: "paused" }),
  "paused → pending": async () => {
    destination.behave(answer(500));
    await webhook.patch({ status: "active" });
  },
  "pending → canceled": (eventId) => act(eventId, "cancel"),
  "paused → canceled": (eventId) => act(eventId, "cancel"),
  "pending → failed": expire,
  "paused → failed": expire,
  "succeeded → pending": (eventId) => retryBehindAnother(eventId, () => act(eventId, "retry")),
  "failed → pending": (eventId) => retryBehindAnother(eventId, () => act(eventId, "retry")),
  "canceled → pending": (eventId) => retryBehindAnother(eventId, () => act(eventId, "retry")),
};

/** The same ways on by bulk jobs. */
const IN_BULK: Readonly<Record<string, (eventId: string) => Promise<unknown>>> = {
  "pending → canceled": bulk("cancel", "pending"),
  "paused → canceled": bulk("cancel", "paused"),
  "succeeded → pending": (eventId) => retryBehindAnother(eventId, bulk("retry", "succeeded")),
  "failed → pending": (eventId) => retryBehindAnother(eventId, bulk("retry", "failed")),
  "canceled → pending": (eventId) => retryBehindAnother(eventId, bulk("retry", "canceled")),
};

/** Waits until the event's delivery is in one of the states, and is found so by the filter in both lists. */
async function found(eventId: string, states: readonly string[]): Promise<void> {
  const query = `eventId=${eventId}${states.map((state) => `&status=${state}`).join("")}`;
  for (const path of [`/webhooks/${webhook.id}/deliveries`, "/webhooks/deliveries"]) {
    await eventually(`${states} in ${path}`, async () => {
      return (await service.api.get(`${path}?${query}`)).body.items.length === 1;
    });
  }
}

async function foundNowhereElse(eventId: string, state: string): Promise<void> {
  const others = STATES.filter((other) => other !== state).map((other) => `status=${other}`);
  for (const path of [`/webhooks/${webhook.id}/deliveries`, "/webhooks/deliveries"]) {
    const { items } = (await service.api.get(`${path}?${others.join("&")}&limit=100`)).body;
    expect(items.map((item: { eventId: string }) => item.eventId)).not.toContain(eventId);
  }
}

const diagram = [
  ...readFileSync(new URL("../../README.md", import.meta.url), "utf8").matchAll(/^ {2}(\S+) --> (\w+): /gm),
];

test("the ways of the diagram and those here are the same, and each state can be left", () => {
  expect(diagram.map(([, from, to]) => `${from} → ${to}`).sort()).toEqual(Object.keys(WAYS).sort());
  expect(new Set(Object.keys(WAYS).map((way) => way.split(" ")[0]))).toEqual(new Set(["[*]", ...STATES]));
});

const cases = [
  ...Object.entries(WAYS).map(([way, go]) => [way, "one", go] as const),
  ...Object.entries(IN_BULK).map(([way, go]) => [way, "in bulk", go] as const),
];

test.each(cases)("%s, %s", async (way, _how, go) => {
  const [from = "", to = ""] = way.split(" → ");
  const begin = from === "[*]" ? to : from;
  const eventId = (await BEGINNINGS[begin]?.()) ?? "";
  await found(eventId, [begin]);
  await foundNowhereElse(eventId, begin);
  await go(eventId);
  // A retry is only for a moment what it is before its attempt.
  const ends = from !== "[*]" && to === "pending" && ["succeeded", "failed", "canceled"].includes(from);
  await found(eventId, [ends ? "succeeded" : to]);
  finish?.(200);
});
