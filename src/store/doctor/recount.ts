import type { Pool } from "pg";
import { holdQueued } from "./hold-queued.ts";

// The next attempt gets the number after the last that is recorded: another one would be taken already. A worker that
// holds a delivery has its number in memory.
const RECOUNT = `
with recorded as materialized (
  select i.id, (select coalesce(max(a.number), 0) from attempts a where a.delivery_id = i.id) as attempts
  from unnest($1::uuid[]) i (id) left join delivery_queue q on q.delivery_id = i.id
  where q.delivery_id is null or (q.lease_token is null and q.delivery_id = any ($2::uuid[]))
), queue as (
  update delivery_queue q set attempts = r.attempts from recorded r where q.delivery_id = r.id
)
update deliveries d set attempt_count = r.attempts, updated_at = now() from recorded r where d.id = r.id`;

/** Sets the numbers of attempts to what is recorded; resolves to how many deliveries nobody held. */
export async function recount(pool: Pool, deliveryIds: readonly string[]): Promise<number> {
  if (deliveryIds.length === 0) return 0;
  return await holdQueued(pool, deliveryIds, async (client, held) => {
    return (await client.query(RECOUNT, [deliveryIds, held])).rowCount ?? 0;
  });
}
