/** Ids that nobody has: they cost at most one look-up at a time, and are never remembered. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { createWebhook, refused, sendHub } from "./senders.ts";

const MANY = 1_000;
let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

/** Counts the look-ups of webhooks, and how many ran at the same time, until `stop`. */
function watchLookups() {
  const watched = { count: 0, atOnceMax: 0, stop: () => {} };
  const query = service.app.webhookLookups.query.bind(service.app.webhookLookups) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  let running = 0;
  const counting = async (...args: unknown[]) => {
    const isLookup = (args[0] as { name?: string }).name === "find-webhooks";
    if (!isLookup) return await query(...args);
    watched.count += 1;
    running += 1;
    watched.atOnceMax = Math.max(watched.atOnceMax, running);
    try {
      return await query(...args);
    } finally {
      running -= 1;
    }
  };
  Object.assign(service.app.webhookLookups, { query: counting });
  watched.stop = () => void Object.assign(service.app.webhookLookups, { query });
  return watched;
}

test("a thousand unknown ids at once: 404 each, one look-up at a time, few in all", async () => {
  const watched = watchLookups();
  const answers = await Promise.all(
    Array.from({ length: MANY }, () =>
      send(`${service.url}/api/v1/webhooks/receive/${randomUUID()}`, "{}", hubSignature("x", "{}")),
    ),
  ).finally(watched.stop);
  expect(new Set(answers.map((answer) => refused(answer).join(" ")))).toEqual(new Set(["404 NOT_FOUND"]));
  expect(watched.atOnceMax).toBe(1);
  expect(watched.count).toBeLessThan(MANY);
});

test("forged signatures at a known webhook: one look-up at a time, and its own events go on", async () => {
  const webhook = await createWebhook(service.api);
  await sendHub(webhook, '{"n":0}');
  const watched = watchLookups();
  const [forged] = await Promise.all([
    Promise.all(Array.from({ length: 200 }, () => send(webhook.receiveUrl, "{}", hubSignature("forged", "{}")))),
    Promise.all(Array.from({ length: 20 }, (_, n) => sendHub(webhook, JSON.stringify({ n })))),
  ]).finally(watched.stop);
  expect(new Set(forged.map((answer) => answer.status))).toEqual(new Set([401]));
  expect(watched.atOnceMax).toBe(1);
});

test("an id that was unknown a moment ago is known as soon as it exists", async () => {
  const webhook = await createWebhook(service.api);
  const later = randomUUID();
  const url = webhook.receiveUrl.replace(webhook.id, later);
  expect((await send(url, "{}", {})).status).toBe(404);
  await service.pool.query(
    `insert into webhooks (id, organization_id, name, source, events, status, created_at, updated_at)
     select $1, organization_id, 'late', source, events, status, now(), now() from webhooks where id = $2`,
    [later, webhook.id],
  );
  // It has no secret, so that it is found and refused.
  expect((await send(url, "{}", hubSignature("x", "{}"))).status).toBe(401);
});
