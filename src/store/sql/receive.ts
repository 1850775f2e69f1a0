/**
 * The receive statement: version check, duplicates, event, delivery and queue row of a whole batch in one commit.
 * It returns one row for each input row: stale (the webhook changed since it was read), stored, or neither (a
 * repeat of an event that `findRepeats` tells).
 *
 * A delivery of a webhook that takes none now is queued like any other: the claim finds its webhook closed and holds
 * it. So a batch never waits for a lock on a webhook.
 */
import type { ClientBase, Pool } from "pg";

/** One event to record. Keys and hashes are lower-case hex. */
export interface ReceiveRow {
  readonly eventId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  /** Version of the webhook that the verdict rests on. */
  readonly version: string;
  readonly type: string | null;
  readonly sourceEventId: string | null;
  readonly status: "received" | "filtered";
  readonly verified: boolean;
  readonly scheme: string;
  readonly synthetic: boolean;
  readonly contentType: string | null;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  readonly receivedAtMs: number;
  /** Equal keys of one webhook are one event; null if nothing makes a repeat. */
  readonly repeatKey: string | null;
  /** With the same key but another hash the event is not a repeat; null if the key decides alone. */
  readonly bodyHash: string | null;
  /** A second key whose repetition only flags the event. */
  readonly reuseKey: string | null;
  readonly reused: boolean;
  /** What is owed to the webhook's url; null if nothing is. */
  readonly delivery: { readonly id: string; readonly url: string; readonly paused: boolean } | null;
  /** Whether the delivery waits in its destination's lane; it does so too where there is one already. */
  readonly laned: boolean;
  /** Deliveries of one key follow each other; lower-case hex, null: in no order. */
  readonly orderKey: string | null;
  /** Set if this process takes the delivery over as soon as it is committed. */
  readonly leaseToken: string | null;
}

/** "laned": stored, and its delivery waits in its destination's lane, which whoever asked makes sure of (`ensureLanes`). */
export type ReceiveState = "stored" | "laned" | "repeat" | "stale";

// What the filler is for stands in the migration 0002; bodies below 256 bytes seldom become smaller.
const RECEIVE = `
with input as materialized (
  select * from json_to_recordset($1::json) as i (
    n int, event_id uuid, organization_id uuid, webhook_id uuid, version bigint, type text, source_event_id text,
    status text, verified boolean, scheme text, synthetic boolean, content_type text, headers json, body_at int,
    size int, received_at timestamptz, repeat_key text, body_hash text, reuse_key text, reused boolean,
    delivery_id uuid, url text, paused boolean, laned boolean, order_key text, token uuid)
), current as materialized (
  select i.n from input i join webhooks w on w.id = i.webhook_id and w.version = i.version
), claims as (
  insert into event_dedupe as d (webhook_id, key, organization_id, event_id, body_hash, expires_at)
  select i.webhook_id, k.key, i.organization_id, i.event_id, k.body_hash, now() + $3 * interval '1 second'
  from input i join current using (n) cross join lateral (values
    (decode(i.repeat_key, 'hex'), decode(i.body_hash, 'hex')), (decode(i.reuse_key, 'hex'), '')) k (key, body_hash)
  where k.key is not null
  order by i.webhook_id, k.key
  on conflict (webhook_id, key) do update
    set event_id = excluded.event_id, body_hash = excluded.body_hash, expires_at = excluded.expires_at
    where d.expires_at <= now()
  returning d.event_id, encode(d.key, 'hex') as key
), fresh as materialized (
  -- By membership, which is looked up by hash: a join would compare each row with each claim.
  select i.*, i.delivery_id is not null and not i.paused and (i.laned or l.destination_id is not null) as in_lane,
    case when not i.laned and l.destination_id is null then i.token end as lease_token, i.reused
    or (i.reuse_key is not null and (i.event_id, i.reuse_key) not in (select event_id, key from claims)) as source_event_id_reused
  from input i join current using (n) left join lanes l on l.destination_id = i.webhook_id
  where i.repeat_key is null or (i.event_id, i.repeat_key) in (select event_id, key from claims)
), recorded as (
  insert into events (id, organization_id, webhook_id, type, source_event_id, source_event_id_reused, status,
    verified, scheme, synthetic, content_type, size, received_at, headers, body, filler)
  select event_id, organization_id, webhook_id, type, source_event_id, source_event_id_reused, status,
    verified, scheme, synthetic, content_type, size, received_at, headers, substring($2::bytea from body_at + 1 for size),
    case when size between 256 and 2000 then repeat(' ', 2000 - size) end
  from fresh
), owed as (
  insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status,
    next_attempt_at, created_at, updated_at)
  select delivery_id, organization_id, webhook_id, webhook_id, event_id, type, url,
    case when paused then 'paused' when lease_token is not null then 'delivering' else 'pending' end,
    case when lease_token is null then received_at end, received_at, received_at
  from fresh where delivery_id is not null
), queued as (
  insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts,
    step, started_at, lease_token, trigger, laned, order_key, ordered_at)
  select delivery_id, organization_id, webhook_id, webhook_id, event_id,
    case when lease_token is null then now() else now() + $4 * interval '1 millisecond' end,
    (lease_token is not null)::int, (lease_token is not null)::int,
    case when lease_token is not null then now() end, lease_token, case when paused then 'resume' end,
    in_lane, decode(order_key, 'hex'), case when order_key is not null then now() end
  from fresh where delivery_id is not null
)
select i.n, c.n is not null as current, f.n is not null as stored, coalesce(f.in_lane, false) as in_lane
from input i left join current c using (n) left join fresh f using (n)`;

/**
 * Commits a batch; resolves to the state of each row, in the order given. Within a batch no two rows of a webhook
 * may share a key. `leaseMs` is how long a delivery that is handed over stays leased.
 */
export async function insertReceived(
  pool: Pool | ClientBase,
  rows: readonly ReceiveRow[],
  options: { dedupeWindowSeconds: number; leaseMs: number },
): Promise<ReceiveState[]> {
  const { rows: found } = await pool.query<{ n: number; current: boolean; stored: boolean; in_lane: boolean }>({
    name: "receive",
    text: RECEIVE,
    values: [
      encodeRows(rows),
      Buffer.concat(rows.map((row) => row.body)),
      options.dedupeWindowSeconds,
      options.leaseMs,
    ],
  });
  const states: ReceiveState[] = new Array(rows.length);
  for (const row of found) {
    if (row.stored) states[row.n] = row.in_lane ? "laned" : "stored";
    else states[row.n] = row.current ? "repeat" : "stale";
  }
  return states;
}

function encodeRows(rows: readonly ReceiveRow[]): string {
  let bodyAt = 0;
  const encoded = rows.map((row, n) => {
    const at = bodyAt;
    bodyAt += row.body.length;
    return {
      n,
      event_id: row.eventId,
      organization_id: row.organizationId,
      webhook_id: row.webhookId,
      version: row.version,
      type: row.type,
      source_event_id: row.sourceEventId,
      status: row.status,
      verified: row.verified,
      scheme: row.scheme,
      synthetic: row.synthetic,
      content_type: row.contentType,
      headers: row.headers,
      body_at: at,
      size: row.body.length,
      received_at: new Date(row.receivedAtMs),
      repeat_key: row.repeatKey,
      body_hash: row.bodyHash,
      reuse_key: row.reuseKey,
      reused: row.reused,
      delivery_id: row.delivery?.id ?? null,
      url: row.delivery?.url ?? null,
      paused: row.delivery?.paused ?? false,
      laned: row.laned,
      order_key: row.orderKey,
      token: row.leaseToken,
    };
  });
  return JSON.stringify(encoded);
}

/** The event that holds a repeat key, and the hash of its body. */
export interface Repeat {
  readonly eventId: string;
  readonly bodyHash: string | null;
}

const FIND_REPEATS = `
select i.n, d.event_id, encode(d.body_hash, 'hex') as body_hash
from json_to_recordset($1::json) as i (n int, webhook_id uuid, key text)
join event_dedupe d on d.webhook_id = i.webhook_id and d.key = decode(i.key, 'hex')`;

/** Finds who holds each key; undefined where nobody does any more. */
export async function findRepeats(
  pool: Pool,
  keys: readonly { webhookId: string; key: string }[],
): Promise<(Repeat | undefined)[]> {
  const { rows } = await pool.query<{ n: number; event_id: string; body_hash: string | null }>({
    name: "find-repeats",
    text: FIND_REPEATS,
    values: [JSON.stringify(keys.map(({ webhookId, key }, n) => ({ n, webhook_id: webhookId, key })))],
  });
  const found: (Repeat | undefined)[] = new Array(keys.length).fill(undefined);
  for (const row of rows) found[row.n] = { eventId: row.event_id, bodyHash: row.body_hash };
  return found;
}
