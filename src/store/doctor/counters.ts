/**
 * The webhooks' counts of deliveries that have had an attempt. History is walked while it grows, so what is counted is
 * compared with the count before the walk (which history must reach) and the one after it (which must reach history).
 * A webhook of which a partition may have been dropped has counted more than its history shows.
 */
import { listPartitions } from "../partitions.ts";
import type { Examination } from "./examination.ts";

/** Webhooks whose counts are compared; those beyond are left out. */
const WEBHOOKS_MAX = 100_000;

/** Deliveries counted by webhook. */
export class Tally {
  readonly #counts = new Map<string, { readonly before: number; walked: number }>();

  add(webhookId: string): void {
    const count = this.#counts.get(webhookId);
    if (count) count.walked += 1;
  }

  /** Begins to count for a webhook whose own count is `before`. */
  begin(webhookId: string, before: number): void {
    this.#counts.set(webhookId, { before, walked: 0 });
  }

  /** Webhooks whose history differs from their count, in either way. */
  suspects(): Map<string, { readonly before: number; readonly walked: number }> {
    return new Map([...this.#counts].filter(([, { before, walked }]) => before !== walked));
  }
}

export async function beginTally({ client }: Examination): Promise<Tally> {
  const tally = new Tally();
  const { rows } = await client.query<{ webhook_id: string; count: number }>(
    "select webhook_id, delivery_count::float8 as count from webhook_counters order by webhook_id limit $1",
    [WEBHOOKS_MAX],
  );
  for (const { webhook_id, count } of rows) tally.begin(webhook_id, count);
  return tally;
}

export async function examineCounters({ client, options, findings }: Examination, tally: Tally): Promise<void> {
  const suspects = tally.suspects();
  if (suspects.size === 0 || options.signal.aborted) return;
  const oldest = (await listPartitions(client, "deliveries"))[0]?.fromMs ?? 0;
  const { rows } = await client.query<{ id: string; after: number; whole: boolean }>(
    `select w.id, c.delivery_count::float8 as after, w.created_at >= to_timestamp($2 / 1000.0) as whole
     from webhooks w join webhook_counters c on c.webhook_id = w.id where w.id = any ($1::uuid[])`,
    [[...suspects.keys()], oldest],
  );
  for (const { id, after, whole } of rows) {
    const { before = 0, walked = 0 } = suspects.get(id) ?? {};
    const off = walked > after ? walked - after : whole && before > walked ? walked - before : 0;
    if (off === 0) continue;
    if (options.mend) {
      await client.query("update webhook_counters set delivery_count = delivery_count + $2 where webhook_id = $1", [
        id,
        off,
      ]);
    }
    findings.add("counters", [id], options.mend ? 1 : 0);
  }
}
