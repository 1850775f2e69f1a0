/** Which deliveries match a filter, and the index that leads to them. */
import type { Pool } from "pg";
import type { DeliveryStatus } from "../entities/delivery.ts";
import { UUID_TIME_MS_MAX, uuidLowerBound, uuidTimeMs } from "../partitions.ts";
import { type IdRange, inRange, ofScope, ofType, Parameters, type Step, type StepBounds, takeStep } from "./scan.ts";

export interface DeliveryFilter extends IdRange {
  readonly organizationId: string;
  readonly webhookId: string | null;
  /** Empty: any. */
  readonly statuses: readonly DeliveryStatus[];
  /** A type, or a prefix followed by ".*". */
  readonly type: string | null;
  /** Of the last attempt. */
  readonly errorCode: string | null;
  readonly eventId: string | null;
}

/** States with an index of their own, and those of what a worker may take: its queue rows lead to them. */
const TROUBLE: readonly DeliveryStatus[] = ["failed", "paused", "canceled"];
const LIVE: readonly DeliveryStatus[] = ["pending", "delivering"];
/** A delivery that is made with its event has an id that follows at once; any other is a replay, milliseconds. */
const FIRST_MS_MAX = 1_000;
/** Rows up to which the deliveries of an organization are put together from those of its webhooks. */
const MERGED_ROWS_MAX = 128;

/** A bound that no number of rows reaches. */
const EVERY_ROW = 2 ** 31 - 1;

/** Examines the next rows that the filter's index leads to. */
export async function stepThroughDeliveries(pool: Pool, filter: DeliveryFilter, bounds: StepBounds): Promise<Step> {
  const parameters = new Parameters();
  const candidates = candidatesOf(filter, bounds, parameters);
  return await takeStep(pool, { candidates, conditions: conditionsOf(filter, parameters), parameters }, bounds);
}

/** What rows `c` must be. The organization is asked for whatever led to them; so is a webhook that still exists. */
export function conditionsOf(filter: DeliveryFilter, parameters: Parameters): string[] {
  const { organizationId, webhookId, statuses, type, errorCode, eventId } = filter;
  const organization = parameters.add(organizationId);
  const conditions = [
    `c.organization_id = ${organization}`,
    `exists (select from webhooks w where w.id = c.webhook_id and w.organization_id = ${organization})`,
  ];
  if (webhookId !== null) conditions.push(`c.webhook_id = ${parameters.add(webhookId)}`);
  if (statuses.length > 0) conditions.push(`c.status = any (${parameters.add(statuses)}::text[])`);
  if (type !== null) conditions.push(ofType("c.event_type", type, parameters));
  if (eventId !== null) conditions.push(`c.event_id = ${parameters.add(eventId)}`);
  if (errorCode !== null) {
    conditions.push(`exists (select from delivery_attempts a where a.delivery_id = c.id
      and a.number = c.attempt_count and a.error_code = ${parameters.add(errorCode)})`);
  }
  return conditions;
}

/** Selects the ids of all that match, from one snapshot, in no order; `most` of them at most. */
export function allMatches(filter: DeliveryFilter, most: number, parameters: Parameters): string {
  const candidates = candidatesOf(filter, { after: null, rows: EVERY_ROW, wanted: EVERY_ROW }, parameters);
  const conditions = conditionsOf(filter, parameters);
  return `select c.id from (${candidates}) c where ${conditions.join(" and ")} limit ${parameters.add(most)}`;
}

const COLUMNS = "d.id, d.organization_id, d.webhook_id, d.status, d.event_type, d.event_id, d.attempt_count";

function candidatesOf(filter: DeliveryFilter, bounds: StepBounds, parameters: Parameters): string {
  const { statuses, errorCode, eventId } = filter;
  if (eventId !== null) return joined(ofEvent(filter, eventId, bounds, parameters));
  if (statuses.length === 0 && errorCode === null) return scoped(filter, bounds, parameters, false);
  if (statuses.includes("succeeded") && errorCode === null) return scoped(filter, bounds, parameters, false);
  // What succeeded has no error.
  const wanted = statuses.length === 0 ? [...TROUBLE, ...LIVE] : statuses.filter((status) => status !== "succeeded");
  if (wanted.length === 0) return `select ${COLUMNS} from deliveries d where false`;
  const live = wanted.filter((status) => LIVE.includes(status));
  if (live.length === 0) return scoped(filter, bounds, parameters, true);
  const queued = queuedOf(filter, live, bounds, parameters);
  if (live.length === wanted.length) return joined(queued);
  const limit = parameters.add(bounds.rows);
  const troubled = `select id from (${scoped(filter, bounds, parameters, true)} limit ${limit}) t`;
  return joined(`${troubled} union select id from (${queued}) q order by id desc limit ${limit}`);
}

/** By an index of the webhook or, where `troubled` only are wanted, of the organization too. */
function scoped(filter: DeliveryFilter, bounds: StepBounds, parameters: Parameters, troubled: boolean): string {
  const { organizationId, webhookId } = filter;
  const of = (
    column: string,
    scope: string,
  ) => `select ${COLUMNS} from deliveries d where ${troubled ? "troubled and" : ""}
    ${ofScope({ scope: `d.${column}`, id: "d.id" }, scope, filter, bounds.after, parameters)}`;
  if (webhookId !== null) return of("webhook_id", `${parameters.add(webhookId)}::uuid`);
  if (troubled) return of("organization_id", `${parameters.add(organizationId)}::uuid`);
  // No index has an organization's in order: it would be written for every delivery. A long look goes through everybody's.
  if (bounds.rows > MERGED_ROWS_MAX && bounds.rows < EVERY_ROW) {
    return `select ${COLUMNS} from deliveries d where true ${inRange("d.id", filter, bounds.after, parameters)} order by d.id desc`;
  }
  return merged(filter, of("webhook_id", "w.id"), bounds, parameters);
}

/** The newest of what each of the organization's webhooks (`w`) has of its own. */
function merged(filter: DeliveryFilter, ofWebhook: string, { rows }: StepBounds, parameters: Parameters): string {
  return `select m.* from webhooks w cross join lateral (${ofWebhook} limit ${parameters.add(rows)}) m
    where w.organization_id = ${parameters.add(filter.organizationId)} order by m.id desc`;
}

// What is under way is in no index by webhook, for the sake of what is handed over: that look goes through everybody's.
function queuedOf(
  filter: DeliveryFilter,
  live: readonly DeliveryStatus[],
  bounds: StepBounds,
  parameters: Parameters,
): string {
  const select = "select q.delivery_id as id from delivery_queue q where";
  if (live.includes("delivering")) {
    const range = inRange("q.delivery_id", filter, bounds.after, parameters);
    return `${select} true ${range} order by q.delivery_id desc limit ${parameters.add(bounds.rows)}`;
  }
  const of = (scope: string) => `${select} started_at is null and
    ${ofScope({ scope: "q.webhook_id", id: "q.delivery_id" }, scope, filter, bounds.after, parameters)}`;
  const { webhookId } = filter;
  const queued =
    webhookId === null ? merged(filter, of("w.id"), bounds, parameters) : of(`${parameters.add(webhookId)}::uuid`);
  return `${queued} limit ${parameters.add(bounds.rows)}`;
}

function ofEvent(filter: DeliveryFilter, eventId: string, { after }: StepBounds, parameters: Parameters): string {
  const event = parameters.add(eventId);
  const end = parameters.add(uuidLowerBound(Math.min(uuidTimeMs(eventId) + FIRST_MS_MAX, UUID_TIME_MS_MAX)));
  const range = inRange("id", filter, after, parameters);
  return `select id from deliveries where id >= ${event} and id < ${end} and event_id = ${event} ${range}
    union select id from deliveries where event_id = ${event} and replay ${range} order by id desc`;
}

/** One row for each id, whether its delivery is still there or not: what is counted is what was examined. */
function joined(ids: string): string {
  return `select i.id, d.organization_id, d.webhook_id, d.status, d.event_type, d.event_id, d.attempt_count
    from (${ids}) i left join deliveries d on d.id = i.id order by i.id desc`;
}
