/**
 * Traces of requests that did not become events: for each webhook and check a few rows, of which one client may have
 * fewer. A new row takes the place of the client's oldest, or else of the check's oldest; what had to go is counted in
 * the new one, so that the rows of a check and what they count are all that it ever refused.
 */
import type { ClientBase, Pool } from "pg";

export interface TraceRow {
  readonly id: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly check: string;
  /** The client as the caps count it. */
  readonly client: string;
  readonly receivedAtMs: number;
  readonly statusCode: number;
  readonly reason: string;
  readonly method: string;
  readonly remoteAddress: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer | null;
  readonly bodyTruncated: boolean;
  readonly size: number | null;
  /** Requests like it that are not kept. */
  readonly further: number;
}

/** Rows kept of one check, and of one client among them. */
export interface TraceSlots {
  readonly perCheck: number;
  readonly perClient: number;
}

const INSERT = `
with input as materialized (
  select i.* from json_to_recordset($1::json) as i (
    id uuid, organization_id uuid, webhook_id uuid, check_name text, client text, received_at timestamptz,
    status_code int, reason text, method text, remote_address text, headers jsonb, body text, body_truncated boolean,
    size int, further bigint)
  join webhooks w on w.id = i.webhook_id and w.organization_id = i.organization_id
), held as materialized (
  select t.id, t.webhook_id, t.check_name, t.client, t.further from receive_traces t
  where (t.webhook_id, t.check_name) in (select webhook_id, check_name from input)
  order by t.webhook_id, t.id for update
), ranked as (
  select *, row_number() over (partition by webhook_id, check_name, client order by fresh desc, id desc) as of_client
  from (select id, webhook_id, check_name, client, further, false as fresh from held
    union all select id, webhook_id, check_name, client, further, true from input) every_row
), kept as (
  select id, fresh, row_number() over (partition by webhook_id, check_name order by fresh desc, id desc) as of_check
  from ranked where of_client <= $3
), evicted as materialized (
  select h.* from held h where not exists (select from kept k where k.id = h.id and k.of_check <= $2)
), gone as (
  delete from receive_traces t using evicted e where t.id = e.id
)
insert into receive_traces (id, organization_id, webhook_id, check_name, client, received_at, status_code, reason,
  method, remote_address, headers, body, body_truncated, size, further)
select i.id, i.organization_id, i.webhook_id, i.check_name, i.client, i.received_at, i.status_code, i.reason,
  i.method, i.remote_address, i.headers, decode(i.body, 'base64'), i.body_truncated, i.size,
  i.further + case when k.of_check = 1 then (select coalesce(sum(e.further + 1), 0) from evicted e
    where e.webhook_id = i.webhook_id and e.check_name = i.check_name) else 0 end
from input i join kept k on k.id = i.id`;

/**
 * Keeps rows of webhooks that still exist. The rows of one batch hold no more of a webhook's check than its slots, and
 * each client once.
 */
export async function insertTraces(pool: Pool, rows: readonly TraceRow[], slots: TraceSlots): Promise<void> {
  await pool.query({
    name: "insert-traces",
    text: INSERT,
    values: [JSON.stringify(rows.map(encodeRow)), slots.perCheck, slots.perClient],
  });
}

function encodeRow(row: TraceRow) {
  return {
    id: row.id,
    organization_id: row.organizationId,
    webhook_id: row.webhookId,
    check_name: row.check,
    client: row.client,
    received_at: new Date(row.receivedAtMs),
    status_code: row.statusCode,
    reason: row.reason,
    method: row.method,
    remote_address: row.remoteAddress,
    headers: row.headers,
    body: row.body?.toString("base64") ?? null,
    body_truncated: row.bodyTruncated,
    size: row.size,
    further: row.further,
  };
}

/** Removes up to `rows` traces that are older than the id; resolves to whether there may be more. */
export async function trimTraces(client: ClientBase, before: string, rows: number): Promise<boolean> {
  const { rowCount } = await client.query(
    "delete from receive_traces where id = any (array(select id from receive_traces where id < $1 limit $2 for update skip locked))",
    [before, rows],
  );
  return rowCount === rows;
}
