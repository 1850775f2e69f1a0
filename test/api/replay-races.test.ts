/** A replay whose webhook or event goes away while it waits for its turn. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { notFound, refusal } from "./refusal.ts";

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test.each([
  ["webhook", "delete from webhooks where id = $1"],
  ["event", "delete from events where webhook_id = $1"],
])("the %s is deleted meanwhile: NOT_FOUND, and nothing is owed", async (_what, statement) => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "succeeded");
  const holder = await service.pool.connect();
  try {
    await holder.query("begin");
    await holder.query("select 1 from webhooks where id = $1 for update", [webhook.id]);
    const replay = service.api.post(`/webhooks/events/${eventId}/replay`);
    await eventually("the replay waits for the webhook", async () => {
      const { rowCount } = await service.pool.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rowCount === 1;
    });
    await holder.query(statement, [webhook.id]);
    await holder.query("commit");
    expect(refusal(await replay)).toEqual(notFound);
  } finally {
    holder.release();
  }
  const { rowCount } = await service.pool.query("select 1 from delivery_queue where webhook_id = $1", [webhook.id]);
  expect(rowCount).toBe(0);
});
