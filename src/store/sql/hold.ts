/** Holding, releasing and ending what is owed, as the state of its webhook asks. */
import type { Pool } from "pg";
import { transaction } from "../transaction.ts";

// The webhooks' rows are held while the queue changes, so that a resume comes either before or after, never between.
const SETTLE_BLOCKED = `
with due as materialized (
  select q.delivery_id, q.webhook_id from delivery_queue q
  where q.delivery_id = any ($1::uuid[]) and q.lease_token is null and not q.held
), found as materialized (
  select w.id, w.url is null as ended, w.status <> 'active' or w.forwarding_stopped_at is not null as held
  from webhooks w where w.id in (select webhook_id from due) order by w.id for share
), gone as (
  delete from delivery_queue q using due d left join found f on f.id = d.webhook_id
  where q.delivery_id = d.delivery_id and q.lease_token is null and (f.id is null or f.ended)
  returning q.delivery_id
), canceled as (
  update deliveries d set status = 'canceled', next_attempt_at = null, completed_at = now(), updated_at = now()
  from gone g where d.id = g.delivery_id
), held as (
  update delivery_queue q set held = true from due d join found f on f.id = d.webhook_id
  where q.delivery_id = d.delivery_id and q.lease_token is null and f.held and not f.ended
  returning q.delivery_id
)
update deliveries d set status = 'paused', updated_at = now() from held h where d.id = h.delivery_id`;

/** Holds due deliveries whose webhook is paused or stopped; cancels those whose webhook has no url or is gone. */
export async function settleBlocked(pool: Pool, deliveryIds: readonly string[]): Promise<void> {
  await pool.query({ name: "settle-blocked", text: SETTLE_BLOCKED, values: [deliveryIds] });
}

/** What happens to the deliveries still owed to a destination. Those under way end on their own. */
export type OwedChange = "hold" | "release" | "cancel";

/**
 * The statement that applies the change to one destination, whose id stands at `placeholder`. It runs in the
 * transaction that has already changed (and so holds) the webhook's row.
 */
export function owedStatement(change: OwedChange, placeholder: "?" | "$1"): string {
  switch (change) {
    case "hold":
      return `with held as (
          update delivery_queue set held = true
          where destination_id = ${placeholder} and not held and lease_token is null returning delivery_id
        )
        update deliveries d set status = 'paused', updated_at = now() from held h where d.id = h.delivery_id`;
    case "release":
      return `with released as (
          update delivery_queue set held = false where destination_id = ${placeholder} and held
          returning delivery_id, due_at
        )
        update deliveries d set status = 'pending', next_attempt_at = r.due_at, updated_at = now()
        from released r where d.id = r.delivery_id`;
    case "cancel":
      return `with canceled as (
          delete from delivery_queue where destination_id = ${placeholder} and lease_token is null
          returning delivery_id
        )
        update deliveries d set status = 'canceled', next_attempt_at = null, completed_at = now(), updated_at = now()
        from canceled c where d.id = c.delivery_id`;
  }
}

const STOP = `
update webhooks set forwarding_reason = $2, forwarding_stopped_at = now(), version = version + 1, updated_at = now()
where id = $1 and url = $3 and forwarding_stopped_at is null`;

/** Stops forwarding to the url that asked for it and holds what is owed. False if it was changed or stopped already. */
export async function stopForwarding(pool: Pool, webhookId: string, url: string, reason: string): Promise<boolean> {
  return await transaction(pool, async (client) => {
    const { rowCount } = await client.query(STOP, [webhookId, reason, url]);
    if (rowCount === 1) await client.query(owedStatement("hold", "$1"), [webhookId]);
    return rowCount === 1;
  });
}
