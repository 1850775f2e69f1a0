/** What the tests of operational events share: a webhook of source `system` whose destination remembers what it is told. */
import { expect } from "vitest";
import type { Answer } from "../support/api.ts";
import { type Arrival, type Destination, startDestination } from "../support/destination.ts";
import type { TestService } from "../support/service.ts";

type Json = Answer["body"];

export interface Listener {
  readonly id: string;
  readonly forwardSecret: string;
  readonly destination: Destination;
  /** The payloads of the first `count` events, in the order in which they came. */
  told(count: number): Promise<Json[]>;
  /** What the API says of its events, oldest first. */
  events(): Promise<Json[]>;
  close(): Promise<void>;
}

export const payloadOf = (arrival: Arrival): Json => JSON.parse(arrival.body.toString());

export async function createListener(
  service: Pick<TestService, "api">,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<Listener> {
  const destination = await startDestination();
  const created = await service.api.post("/webhooks", {
    name: "Operations",
    source: "system",
    url: destination.url,
    ...settings,
  });
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  const { id, forwardSecret } = created.body;
  return {
    id,
    forwardSecret,
    destination,
    told: async (count) => (await destination.arrived(count)).slice(0, count).map(payloadOf),
    events: async () => (await service.api.get(`/webhooks/${id}/events?limit=100`)).body.items.reverse(),
    close: destination.close,
  };
}

/** Has the service look now for what is to be told, as each change of a webhook does. */
export async function tellNow(service: Pick<TestService, "api">, listener: Pick<Listener, "id">): Promise<void> {
  const patched = await service.api.patch(`/webhooks/${listener.id}`, { description: crypto.randomUUID() });
  expect(patched.status).toBe(200);
}
