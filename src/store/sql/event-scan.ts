/** Which events match a filter. */
import type { Pool } from "pg";
import { type IdRange, inRange, ofType, Parameters, type Step, type StepBounds, takeStep } from "./scan.ts";

export interface EventFilter extends IdRange {
  readonly organizationId: string;
  readonly webhookId: string | null;
  /** Empty: any. */
  readonly statuses: readonly string[];
  /** A type, or a prefix followed by ".*". */
  readonly type: string | null;
  readonly verified: boolean | null;
  readonly sourceEventId: string | null;
}

const COLUMNS = "e.id, e.organization_id, e.webhook_id, e.status, e.type, e.verified, e.source_event_id";

/** Examines the next events of the webhook, or of the organization. */
export async function stepThroughEvents(pool: Pool, filter: EventFilter, bounds: StepBounds): Promise<Step> {
  const parameters = new Parameters();
  const { organizationId, webhookId } = filter;
  const scope = webhookId === null ? "organization_id" : "webhook_id";
  const candidates = `select ${COLUMNS} from events e where e.${scope} = ${parameters.add(webhookId ?? organizationId)}
    ${inRange("e.id", filter, bounds.after, parameters)} order by e.id desc`;
  return await takeStep(pool, { candidates, conditions: conditionsOf(filter, parameters), parameters }, bounds);
}

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
