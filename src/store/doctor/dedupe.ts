/** Keys by which repeats are recognised: the event that holds one is recorded. */
import { DAY_MS, uuidLowerBound } from "../partitions.ts";
import { type Examination, NO_ID, walk } from "./examination.ts";

// A key that only flags a reused id has an empty hash; its event may never have been recorded.
const PAGE = `
with page as materialized (
  select * from event_dedupe where (webhook_id, key) > ($1::uuid, $2::bytea) order by webhook_id, key limit $3
)
select p.webhook_id, p.key, p.event_id, e.id is null and w.id is not null and p.event_id >= $4::uuid
  and p.expires_at > now() and p.body_hash is distinct from ''::bytea as dangling
from page p left join events e on e.organization_id = p.organization_id and e.id = p.event_id
  left join webhooks w on w.id = p.webhook_id
order by p.webhook_id, p.key`;

const FORGET = `
delete from event_dedupe d using unnest($1::uuid[], $2::bytea[], $3::uuid[]) as f (webhook_id, key, event_id)
where d.webhook_id = f.webhook_id and d.key = f.key and d.event_id = f.event_id`;

interface Row {
  readonly webhook_id: string;
  readonly key: Buffer;
  readonly event_id: string;
  readonly dangling: boolean;
}

export async function examineDedupe(examination: Examination): Promise<void> {
  const { client, options, findings } = examination;
  const { rows: clock } = await client.query<{ ms: number }>("select extract(epoch from now())::float8 * 1000 as ms");
  const keptSince = uuidLowerBound(Math.floor((clock[0]?.ms ?? 0) - options.retentionDays * DAY_MS));
  const start: { webhookId: string; key: Buffer } = { webhookId: NO_ID, key: Buffer.alloc(0) };
  await walk(examination, start, async (after) => {
    const { rows } = await client.query<Row>(PAGE, [
      after.webhookId,
      after.key,
      options.limits.doctorBatchRows,
      keptSince,
    ]);
    const dangling = rows.filter((row) => row.dangling);
    if (dangling.length > 0) {
      const columns = [dangling.map((row) => row.webhook_id), dangling.map((row) => row.key), eventIds(dangling)];
      const mended = options.mend ? ((await client.query(FORGET, columns)).rowCount ?? 0) : 0;
      findings.add("dedupe_without_event", eventIds(dangling), mended);
    }
    const last = rows.at(-1);
    return last && { webhookId: last.webhook_id, key: last.key };
  });
}

const eventIds = (rows: readonly Row[]): string[] => rows.map((row) => row.event_id);
