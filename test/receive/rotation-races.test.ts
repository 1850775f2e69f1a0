/** Receives on two replicas while the secret is rotated under them: no stale secret passes, no acknowledged event is lost. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, receiveUrlAt } from "./senders.ts";

const ROTATIONS = 25;
const SENDERS = 8;

let a: TestService;
let b: TestService;

beforeAll(async () => {
  a = await startService();
  b = await startService({ replicaOf: a });
});
afterAll(async () => {
  await b?.stop();
  await a?.stop();
});

/** A secret, and the moments between which it may have been in force. */
interface Reign {
  readonly secret: string;
  /** When the rotation that brought it was asked for, and when it was answered. */
  readonly askedAt: number;
  readonly answeredAt: number;
}

interface Sent {
  readonly reign: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly status: number;
  readonly eventId: string | undefined;
}

/** Sends with the newest secret, or one of those before it, until told to stop. */
async function keepSending(
  webhook: CreatedWebhook,
  sender: number,
  reigns: readonly Reign[],
  isOver: () => boolean,
): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (let n = 0; !isOver(); n++) {
    const index = Math.max(reigns.length - 1 - (n % 3), 0);
    const body = JSON.stringify({ sender, n });
    const startedAt = performance.now();
    const answer = await send(
      receiveUrlAt((n + sender) % 2 ? a.url : b.url, webhook),
      body,
      hubSignature(reigns[index]?.secret ?? "", body),
    );
    const { status } = answer;
    sent.push({ reign: index, startedAt, endedAt: performance.now(), status, eventId: answer.body.eventId });
  }
  return sent;
}

test("every 200 was signed with a secret that was in force meanwhile, and is recorded", async () => {
  const webhook = await createWebhook(a.api);
  const reigns: Reign[] = [{ secret: webhook.secret, askedAt: 0, answeredAt: 0 }];
  let over = false;
  const senders = Array.from({ length: SENDERS }, (_, at) => keepSending(webhook, at, reigns, () => over));
  for (let n = 0; n < ROTATIONS; n++) {
    const askedAt = performance.now();
    const { status, body } = await (n % 2 ? a : b).api.post(`/webhooks/${webhook.id}/rotate`);
    expect(status).toBe(200);
    reigns.push({ secret: body.secret, askedAt, answeredAt: performance.now() });
  }
  over = true;
  const sent = (await Promise.all(senders)).flat();

  // A rotation that went on meanwhile may show as 503: told to come again, not lost.
  expect([...new Set(sent.map((one) => one.status))].filter((status) => ![200, 401, 503].includes(status))).toEqual([]);
  const taken = sent.filter((one) => one.status === 200);
  const endedBefore = (one: Sent) => (reigns[one.reign + 1]?.answeredAt ?? Number.POSITIVE_INFINITY) < one.startedAt;
  expect(taken.filter(endedBefore)).toEqual([]);
  const inForceThroughout = (one: Sent) =>
    (reigns[one.reign]?.answeredAt ?? 0) < one.startedAt &&
    (reigns[one.reign + 1]?.askedAt ?? Number.POSITIVE_INFINITY) > one.endedAt;
  expect(sent.filter((one) => one.status === 401 && inForceThroughout(one))).toEqual([]);
  // Both kinds did occur, or the rest proves nothing.
  expect(sent.filter(endedBefore).length).toBeGreaterThan(0);
  expect(taken.length).toBeGreaterThan(0);

  const { rows } = await a.pool.query<{ id: string }>("select id from events where webhook_id = $1", [webhook.id]);
  expect(rows.map((row) => row.id).toSorted()).toEqual(taken.map((one) => one.eventId).toSorted());
});

test("a rotation that commits while the event is on its way to the store is seen by the commit", async () => {
  const webhook = await createWebhook(a.api);
  const body = '{"n":1}';
  const signature = hubSignature(webhook.secret, body);
  expect((await send(receiveUrlAt(b.url, webhook), body, signature)).status).toBe(200);
  // Holds the second replica's statements back until the rotation is through.
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const query = b.pool.query.bind(b.pool) as (...args: unknown[]) => Promise<unknown>;
  Object.assign(b.pool, {
    query: async (...args: unknown[]) => {
      if ((args[0] as { name?: string }).name === "receive") {
        reached.resolve();
        await gate.promise;
      }
      return await query(...args);
    },
  });
  try {
    const answer = send(receiveUrlAt(b.url, webhook), body, signature);
    await reached.promise;
    await a.api.post(`/webhooks/${webhook.id}/rotate`);
    gate.resolve();
    expect((await answer).status).toBe(401);
  } finally {
    gate.resolve();
    Object.assign(b.pool, { query });
  }
});
