/** Which events match a filter. */
import type { Pool } from "pg";
import {
  type IdRange,
  ofScope,
  ofType,
  Parameters,
  type Statement,
  type Step,
  type StepBounds,
  takeStep,
} from "./scan.ts";

export interface EventFilter extends IdRange {
  readonly organizationId: string;
  readonly webhookId: string | null;
  /** Empty: any. */
  readonly statuses: readonly string[];
  /** A type, or a prefix followed by ".*". */
  readonly type: string | null;
  readonly verified: boolean | null;
  readonly sourceEventId: string | null;
  /** A regular expression for bodies and lines of headers, of their UTF-8 bytes as Latin-1; null: none. */
  readonly pattern: string | null;
}

export interface EventStepBounds extends StepBounds {
  /** Bytes of bodies that a search looks through; it looks through one body at least. */
  readonly bytes: number;
}

const COLUMNS = "e.id, e.organization_id, e.webhook_id, e.status, e.type, e.verified, e.source_event_id, e.size";

/** Examines the next events of the webhook, or of the organization. */
export async function stepThroughEvents(pool: Pool, filter: EventFilter, bounds: EventStepBounds): Promise<Step> {
  const parameters = new Parameters();
  const { organizationId, webhookId, pattern } = filter;
  const scope = webhookId === null ? "organization_id" : "webhook_id";
  const value = `${parameters.add(webhookId ?? organizationId)}::uuid`;
  const candidates = `select ${COLUMNS} from events e where
    ${ofScope({ scope: `e.${scope}`, id: "e.id" }, value, filter, bounds.after, parameters)}`;
  const statement = { candidates, conditions: conditionsOf(filter, parameters), parameters };
  if (pattern === null) return await takeStep(pool, statement, bounds);
  return await searchStep(pool, { ...statement, organizationId, pattern }, bounds);
}

/** A step that also looks into what the other conditions leave, as far as that is not too many bytes. */
async function searchStep(
  pool: Pool,
  {
    candidates,
    conditions,
    parameters,
    organizationId,
    pattern,
  }: Statement & { organizationId: string; pattern: string },
  { rows, wanted, bytes }: EventStepBounds,
): Promise<Step> {
  const [found, most] = [parameters.add(pattern), parameters.add(bytes)];
  const { rows: steps } = await pool.query<StepRow>(
    `with c as materialized (${candidates} limit ${parameters.add(rows)}
     ), met as materialized (
       select c.id, sum(c.size) over (order by c.id desc) - c.size as before from c where ${conditions.join(" and ")}
     ), searched as materialized (
       select * from met where before < ${most}
     ), examined as materialized (
       -- What comes before the first that is left out.
       select id from c where id > all (select id from met where before >= ${most} order by id desc limit 1)
     )
     -- One after the other, until there are as many as are wanted.
     select array(select s.id from (select id from searched order by id desc offset 0) s
         where (select ${holds("e", found)} from events e
           where e.organization_id = ${parameters.add(organizationId)} and e.id = s.id)
         limit ${parameters.add(wanted)}) as ids,
       (select id from examined order by id limit 1) as last,
       (select count(*) from examined)::int as examined, (select count(*) from c)::int as candidates`,
    parameters.values,
  );
  const { ids, last, examined, candidates: all } = steps[0] ?? { ids: [], last: null, examined: 0, candidates: 0 };
  return { ids, examined, last: all < rows && examined === all ? null : last };
}

interface StepRow {
  readonly ids: string[];
  readonly last: string | null;
  readonly examined: number;
  readonly candidates: number;
}

const bytesOf = (text: string) => `convert_from(convert_to(${text}, 'UTF8'), 'LATIN1') collate "C"`;

// A body with a zero byte cannot become text, and is none.
const holds = (event: string, pattern: string) => `(case when position('\\x00'::bytea in ${event}.body) = 0
  then convert_from(${event}.body, 'LATIN1') collate "C" ~* ${pattern} else false end
  or exists (select from json_array_elements(${event}.headers) h
    where ${bytesOf("(h->>0) || ': ' || (h->>1)")} ~* ${pattern}))`;

/** What rows `c` must be. The organization is asked for whatever led to them; so is a webhook that still exists. */
function conditionsOf(filter: EventFilter, parameters: Parameters): string[] {
  const { organizationId, statuses, type, verified, sourceEventId } = filter;
  const organization = parameters.add(organizationId);
  const conditions = [
    `c.organization_id = ${organization}`,
    `exists (select from webhooks w where w.id = c.webhook_id and w.organization_id = ${organization})`,
  ];
  if (statuses.length > 0) conditions.push(`c.status = any (${parameters.add(statuses)}::text[])`);
  if (type !== null) conditions.push(ofType("c.type", type, parameters));
  if (verified !== null) conditions.push(`c.verified = ${parameters.add(verified)}`);
  if (sourceEventId !== null) conditions.push(`c.source_event_id = ${parameters.add(sourceEventId)}`);
  return conditions;
}
