/** What the delivery tests share: a webhook that forwards, events sent to it, and what the API says of its deliveries. */
import { createHmac } from "node:crypto";
import { expect } from "vitest";
import { type Answer, hubSignature, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import type { TestService } from "../support/service.ts";

/** An answer's body: judged by what it holds. */
type Json = Answer["body"];

export interface ForwardingWebhook {
  readonly id: string;
  readonly receiveUrl: string;
  readonly secret: string;
  readonly forwardSecret: string;
  /** Sends a signed event, expects that it is taken, and resolves to its id. */
  sendEvent(body?: string | Uint8Array<ArrayBuffer>, headers?: Readonly<Record<string, string>>): Promise<string>;
  /** The webhook as it is now. */
  read(): Promise<Json>;
  /** Changes the webhook and expects that it is taken. */
  patch(change: object): Promise<Json>;
  /** The only delivery of an event, with its attempts. */
  deliveryOf(eventId: string): Promise<Json>;
  /** All deliveries of an event with their attempts, oldest first. */
  deliveriesOf(eventId: string): Promise<Json[]>;
  /** The only delivery of an event, once it has that status and (if given) that many attempts. */
  settled(eventId: string, status: string, attemptCount?: number): Promise<Json>;
}

export async function createForwardingWebhook(service: TestService, url: string | null): Promise<ForwardingWebhook> {
  const created = await service.api.post("/webhooks", { name: "forwards", url });
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  const { id, receiveUrl, secret, forwardSecret } = created.body;
  const deliveriesOf = async (eventId: string): Promise<Json[]> => {
    const list = await service.api.get(`/webhooks/${id}/deliveries?limit=100`);
    const ids: string[] = list.body.items.filter((item: Json) => item.eventId === eventId).map((item: Json) => item.id);
    const answers = await Promise.all(ids.reverse().map((one) => service.api.get(`/webhooks/deliveries/${one}`)));
    return answers.map((answer) => answer.body);
  };
  const deliveryOf = async (eventId: string): Promise<Json> => {
    const deliveries = await deliveriesOf(eventId);
    expect(deliveries).toHaveLength(1);
    return deliveries[0];
  };
  return {
    id,
    receiveUrl,
    secret,
    forwardSecret,
    sendEvent: async (body = '{"type":"order.paid"}', headers = {}) => {
      const answer = await send(receiveUrl, body, { ...hubSignature(secret, body), ...headers });
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      return answer.body.eventId;
    },
    read: async () => (await service.api.get(`/webhooks/${id}`)).body,
    patch: async (change) => {
      const answer = await service.api.patch(`/webhooks/${id}`, change);
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      return answer.body;
    },
    deliveryOf,
    deliveriesOf,
    settled: async (eventId, status, attemptCount) =>
      await eventually(`${status} after ${attemptCount ?? "any number of"} attempts`, async () => {
        const delivery = await deliveryOf(eventId);
        const isThere = attemptCount === undefined || delivery.attemptCount === attemptCount;
        return delivery.status === status && isThere ? delivery : undefined;
      }),
  };
}

/** Numbers and outcomes of a delivery's attempts, in order: `1 scheduled http_status`. */
export const outline = (delivery: Json): string[] =>
  delivery.attempts.map((one: Json) => `${one.number} ${one.trigger} ${one.errorCode ?? one.status}`);

/** How far in the future a time of an answer is from another, milliseconds. */
export const msBetween = (from: string, to: string): number => Date.parse(to) - Date.parse(from);

/** Headers of a Standard Webhooks event (a source that uses the names that we send too). */
export function standardHeaders(secret: string, id: string, body: string): Record<string, string> {
  const seconds = Math.floor(Date.now() / 1_000);
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": String(seconds), "webhook-signature": `v1,${signature}` };
}
