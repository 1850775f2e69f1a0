/** Giving up what is still owed, on request. */
import type { ClientBase, Pool } from "pg";
import { transaction } from "../transaction.ts";

/** Why a delivery cannot be canceled now. */
export type CancelRefusal = "not_found" | "under_way" | "finished";

const DELIVERY = `
select q.delivery_id is not null as owed, q.started_at is not null as under_way
from deliveries d join webhooks w on w.id = d.webhook_id and w.organization_id = $2
  left join delivery_queue q on q.delivery_id = d.id
where d.id = $1 and d.organization_id = $2`;

// One in a quick wait is taken from its worker, whose next try finds its lease gone.
const CANCEL = `
with gone as (
  delete from delivery_queue where delivery_id = any ($1::uuid[]) and started_at is null returning delivery_id
)
update deliveries d set status = 'canceled', next_attempt_at = null, completed_at = now(), updated_at = now()
from gone g where d.id = g.delivery_id
returning d.id`;

/** Ends those of the deliveries that wait or are held; resolves to which. */
export async function cancelNow(client: ClientBase, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await client.query<{ id: string }>(CANCEL, [ids]);
  return new Set(rows.map((row) => row.id));
}

/** Ends a delivery that waits or is held; resolves to why not, or null when done. */
export async function cancelDelivery(
  pool: Pool,
  organizationId: string,
  deliveryId: string,
): Promise<CancelRefusal | null> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<{ owed: boolean; under_way: boolean }>(DELIVERY, [deliveryId, organizationId]);
    if (!rows[0]) return "not_found";
    if (!rows[0].owed) return "finished";
    if (rows[0].under_way) return "under_way";
    const canceled = await cancelNow(client, [deliveryId]);
    // Its attempt has begun since.
    return canceled.has(deliveryId) ? null : "under_way";
  });
}
