/** What the RPC tests look at: a webhook with an event that has been delivered and a rejection, made over REST. */
import type { Api } from "../support/api.ts";
import { hubSignature, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";

export interface Seed {
  readonly webhook: { readonly id: string; readonly receiveUrl: string; readonly secret: string };
  readonly eventId: string;
  readonly deliveryId: string;
  /** A bulk job that is done: it matched nothing. */
  readonly jobId: string;
  /** A webhook whose window for a secret is open, and which has had one handshake. */
  readonly captureId: string;
}

/** Body of every seeded event; its type is `order.paid`. */
export const SEED_BODY = '{"type":"order.paid","n":1}';

/** A webhook with one event, delivered to `url`, and one rejection, of the same body without a signature. */
export async function seed(api: Api, url: string): Promise<Seed> {
  const webhook = (await api.post("/webhooks", { name: "seed", url, events: ["order.*"] })).body;
  const { eventId } = (await send(webhook.receiveUrl, SEED_BODY, hubSignature(webhook.secret, SEED_BODY))).body;
  const deliveryId = await eventually("the seeded event is delivered", async () => {
    const { items } = (await api.get(`/webhooks/${webhook.id}/deliveries?status=succeeded`)).body;
    return items[0]?.id as string | undefined;
  });
  await send(webhook.receiveUrl, SEED_BODY, {});
  await eventually("the seeded rejection is written", async () => {
    const { items } = (await api.get(`/webhooks/${webhook.id}/rejections`)).body;
    return items.length === 1;
  });
  const filter = { webhookId: webhook.id, status: ["failed"] };
  const { id: jobId } = (await api.post("/webhooks/bulk-jobs", { action: "replay", filter })).body;
  return { webhook, eventId, deliveryId, jobId, captureId: await seedCapture(api) };
}

async function seedCapture(api: Api): Promise<string> {
  const { id, receiveUrl } = (await api.post("/webhooks", { name: "capture", source: "notion", status: "paused" }))
    .body;
  await api.post(`/webhooks/${id}/capture`);
  await send(receiveUrl, '{"verification_token":"secret_seed"}', {});
  await eventually("the seeded handshake is written", async () => {
    const { items } = (await api.get(`/webhooks/${id}/handshakes`)).body;
    return items.length === 1;
  });
  return id;
}
