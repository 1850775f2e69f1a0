/** Holding, releasing and ending what is owed, as the state of its webhook asks. */
import type { Pool, PoolClient } from "pg";
import { transaction } from "../transaction.ts";
import { raiseNotice } from "./notices.ts";

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
), held as (
  update delivery_queue q set held = true, laned = false from due d join found f on f.id = d.webhook_id
  where q.delivery_id = d.delivery_id and q.lease_token is null and f.held and not f.ended
  returning q.delivery_id
), settled as (
  select delivery_id, true as ended from gone union all select delivery_id, false from held
)
update deliveries d set updated_at = now(), status = case when s.ended then 'canceled' else 'paused' end,
  next_attempt_at = case when not s.ended then d.next_attempt_at end,
  completed_at = case when s.ended then now() else d.completed_at end
from settled s where d.id = s.delivery_id and (s.ended or d.status <> 'paused')`;

/** Holds due deliveries whose webhook is paused or stopped; cancels those whose webhook has no url or is gone. */
export async function settleBlocked(pool: Pool, deliveryIds: readonly string[]): Promise<void> {
  await pool.query({ name: "settle-blocked", text: SETTLE_BLOCKED, values: [deliveryIds] });
}

/** Deliveries that a change of a webhook touches at once; the claim finds the rest when they fall due. */
const CHANGE_ROWS_MAX = 5_000;

/** What happens to the deliveries still owed to a destination. Those under way end on their own. */
export type OwedChange = "hold" | "release" | "cancel";

/** Rows with no attempt under way. One in a quick wait is taken from its worker, whose next try finds its lease gone. */
const waiting = (placeholder: string, held: string) => `
  select delivery_id from delivery_queue
  where destination_id = ${placeholder} and started_at is null ${held}
  order by due_at limit ${CHANGE_ROWS_MAX} for update skip locked`;

/**
 * The statement that begins the change of one destination, whose id stands at `placeholder`. It runs in the
 * transaction that has already changed (and so holds) the webhook's row. A release only leaves a note: `releaseStep`
 * does it, however much there is. A quick wait is `leaseMs` shorter than its lease.
 */
export function owedStatement(change: OwedChange, placeholder: "?" | "$1", leaseMs: number): string {
  switch (change) {
    case "hold":
      return `with held as (
          update delivery_queue q set held = true, laned = false, lease_token = null,
            due_at = q.due_at - case when q.lease_token is null then 0 else ${leaseMs} end * interval '1 millisecond'
          where q.delivery_id = any (array(${waiting(placeholder, "and not held")}))
          returning q.delivery_id
        )
        update deliveries d set status = 'paused', updated_at = now() from held h where d.id = h.delivery_id`;
    case "cancel":
      return `with canceled as (
          delete from delivery_queue where delivery_id = any (array(${waiting(placeholder, "")})) returning delivery_id
        )
        update deliveries d set status = 'canceled', next_attempt_at = null, completed_at = now(), updated_at = now()
        from canceled c where d.id = c.delivery_id`;
    case "release":
      return `insert into releases (webhook_id, organization_id)
        select id, organization_id from webhooks where id = ${placeholder} on conflict do nothing`;
  }
}

const RELEASE = `
with due as materialized (
  select delivery_id from delivery_queue where destination_id = $1 and started_at is null and held
  order by due_at limit $2 for update skip locked
), released as (
  update delivery_queue q set held = false,
    trigger = coalesce(q.trigger, case when q.due_at <= now() then 'resume' end)
  from due d where q.delivery_id = d.delivery_id
  returning q.delivery_id, q.due_at
)
update deliveries d set status = 'pending', next_attempt_at = r.due_at, updated_at = now()
from released r where d.id = r.delivery_id`;

/**
 * Releases up to `rows` held deliveries of one webhook that is to be released; resolves to whether there may be more.
 * A webhook that takes none after all keeps them held: its next resume leaves a new note.
 */
export async function releaseStep(pool: Pool, rows: number): Promise<boolean> {
  return await transaction(pool, async (client) => {
    const { rows: notes } = await client.query<{ webhook_id: string }>("select webhook_id from releases limit 1");
    const id = notes[0]?.webhook_id;
    if (id === undefined) return false;
    // The webhook's row is held whatever its state, so that a pause or a resume comes either before this step or after
    // it; and it is held before the note, as by a delete.
    const { rows: webhooks } = await client.query<{ open: boolean }>(
      "select status = 'active' and forwarding_stopped_at is null as open from webhooks where id = $1 for share",
      [id],
    );
    await client.query("select 1 from releases where webhook_id = $1 for update", [id]);
    const released = webhooks[0]?.open ? ((await client.query(RELEASE, [id, rows])).rowCount ?? 0) : 0;
    if (released === 0) await client.query("delete from releases where webhook_id = $1", [id]);
    return true;
  });
}

/** Why a destination gets nothing more: it answered 410, every attempt has failed for days, or somebody said so. */
export type StopReason = "gone" | "failing" | "manual";

const STOP = `
update webhooks set forwarding_reason = $2, forwarding_stopped_at = now(), version = version + 1, updated_at = now()
where id = $1 and url = $3 and forwarding_stopped_at is null
returning organization_id as "organizationId", forwarding_stopped_at as "stoppedAt"`;

export interface Stop {
  readonly webhookId: string;
  /** The url that is to get nothing more. */
  readonly url: string;
  readonly reason: StopReason;
  /** Since when every attempt has failed, where that is the reason. */
  readonly failingSince: Date | null;
  readonly leaseMs: number;
}

/** Stops forwarding, holds what is owed and tells of it, in one transaction. False if it was changed or stopped already. */
export async function stopForwarding(pool: Pool, stop: Omit<Stop, "failingSince">): Promise<boolean> {
  return await transaction(pool, (client) => stopIn(client, { ...stop, failingSince: null }));
}

async function stopIn(client: PoolClient, { webhookId, url, reason, failingSince, leaseMs }: Stop): Promise<boolean> {
  const { rows } = await client.query<{ organizationId: string; stoppedAt: Date }>(STOP, [webhookId, reason, url]);
  const [stopped] = rows;
  if (!stopped) return false;
  const { organizationId, stoppedAt } = stopped;
  await client.query(owedStatement("hold", "$1", leaseMs), [webhookId]);
  const data = { url, reason, stoppedAt, failingSince };
  await raiseNotice(client, { organizationId, webhookId, type: "forwarding.stopped", data });
  return true;
}

const FAILING = `
select c.webhook_id from webhook_counters c join webhooks w on w.id = c.webhook_id
where c.failing_since is not null and c.failing_until >= c.failing_since + $1 * interval '1 millisecond'
  and w.status = 'active' and w.url is not null and w.forwarding_stopped_at is null
limit $2`;
/** Webhooks that one step stops. */
const STOPS_MAX = 100;

/**
 * Stops forwarding where every attempt has failed for `stopAfterMs`, from the first failure to the latest one; resolves
 * to the ids of the webhooks.
 */
export async function stopFailing(pool: Pool, stopAfterMs: number, leaseMs: number): Promise<string[]> {
  const { rows } = await pool.query<{ webhook_id: string }>(FAILING, [stopAfterMs, STOPS_MAX]);
  const stopped: string[] = [];
  for (const { webhook_id: webhookId } of rows) {
    const isNew = await transaction(pool, async (client) => {
      // The webhook before its counters, as by every other: looked at again, for an attempt may have succeeded meanwhile.
      const { rows: webhooks } = await client.query<{ url: string | null }>(
        "select url from webhooks where id = $1 and status = 'active' for update",
        [webhookId],
      );
      const { rows: counters } = await client.query<{ failingSince: Date }>(
        `select failing_since as "failingSince" from webhook_counters
         where webhook_id = $1 and failing_until >= failing_since + $2 * interval '1 millisecond' for update`,
        [webhookId, stopAfterMs],
      );
      const [url, failingSince] = [webhooks[0]?.url, counters[0]?.failingSince];
      if (!url || !failingSince) return false;
      return await stopIn(client, { webhookId, url, reason: "failing", failingSince, leaseMs });
    });
    if (isNew) stopped.push(webhookId);
  }
  return stopped;
}
