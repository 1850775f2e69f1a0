/** Deleting a webhook: at once for every reader; its history follows in bounded steps that survive a restart. */
import type { Pool, PoolClient } from "pg";
import { transaction } from "../transaction.ts";

/** Removes the webhook and what it still owes, and leaves a note of what is to be purged. False if there is none. */
export async function deleteWebhook(client: PoolClient, organizationId: string, webhookId: string): Promise<boolean> {
  const { rowCount } = await client.query("select 1 from webhooks where id = $1 and organization_id = $2 for update", [
    webhookId,
    organizationId,
  ]);
  if (rowCount !== 1) return false;
  await client.query("delete from delivery_queue where destination_id = $1 and started_at is null", [webhookId]);
  await client.query("delete from lanes where destination_id = $1", [webhookId]);
  await client.query("delete from webhooks where id = $1 and organization_id = $2", [webhookId, organizationId]);
  await client.query(
    "insert into purges (webhook_id, organization_id, deleted_at, due_at) values ($1, $2, now(), now()) on conflict do nothing",
    [webhookId, organizationId],
  );
  return true;
}

const STEPS = [
  "delete from delivery_queue where delivery_id in (select delivery_id from delivery_queue where destination_id = $1 and started_at is null limit $2)",
  "delete from event_dedupe where (webhook_id, key) in (select webhook_id, key from event_dedupe where webhook_id = $1 limit $2)",
  "delete from receive_traces where webhook_id = $1 and id in (select id from receive_traces where webhook_id = $1 limit $2)",
] as const;

/** Rows of the partitioned tables: their ids are read first, because a join would be no way to them (partitions.ts). */
const HISTORY = [
  {
    find: "select id from events where webhook_id = $1 order by id desc limit $2",
    removals: ["delete from events where webhook_id = $1 and id = any ($2::uuid[])"],
  },
  {
    find: "select id from deliveries where webhook_id = $1 order by id desc limit $2",
    removals: [
      "delete from delivery_attempts where webhook_id = $1 and delivery_id = any ($2::uuid[])",
      "delete from deliveries where webhook_id = $1 and id = any ($2::uuid[])",
    ],
  },
] as const;

async function purgeHistory(client: PoolClient, webhookId: string, rowsMax: number): Promise<number> {
  let found = 0;
  for (const { find, removals } of HISTORY) {
    const { rows } = await client.query<{ id: string }>(find, [webhookId, rowsMax]);
    if (rows.length === 0) continue;
    const ids = rows.map((row) => row.id);
    for (const removal of removals) await client.query(removal, [webhookId, ids]);
    found += ids.length;
  }
  return found;
}

/**
 * Purges up to `rows` rows of each kind of one deleted webhook; resolves to whether there may be more to do now. A
 * webhook with nothing left is looked at again after `recheckMs`, and its note goes once `lateMs` have passed since
 * the delete, so that late rows are caught too.
 */
export async function purgeStep(
  pool: Pool,
  { rows, lateMs, recheckMs }: { rows: number; lateMs: number; recheckMs: number },
): Promise<boolean> {
  return await transaction(pool, async (client) => {
    const { rows: notes } = await client.query<{ webhook_id: string; late: boolean }>(
      `select webhook_id, deleted_at < now() - $1 * interval '1 millisecond' as late from purges
       where due_at <= now() order by due_at limit 1 for update skip locked`,
      [lateMs],
    );
    const note = notes[0];
    if (!note) return false;
    let found = 0;
    for (const step of STEPS) found += (await client.query(step, [note.webhook_id, rows])).rowCount ?? 0;
    found += await purgeHistory(client, note.webhook_id, rows);
    if (found === 0 && note.late) await client.query("delete from purges where webhook_id = $1", [note.webhook_id]);
    else if (found === 0) {
      await client.query("update purges set due_at = now() + $2 * interval '1 millisecond' where webhook_id = $1", [
        note.webhook_id,
        recheckMs,
      ]);
    }
    return true;
  });
}

/** Removes up to `rows` duplicates' keys whose window has ended; resolves to whether there may be more. */
export async function purgeDedupe(pool: Pool, rows: number): Promise<boolean> {
  const { rowCount } = await pool.query(
    `delete from event_dedupe where (webhook_id, key) in
       (select webhook_id, key from event_dedupe where expires_at < now() limit $1 for update skip locked)`,
    [rows],
  );
  return rowCount === rows;
}
