/**
 * What must hold after any fault. Nothing acknowledged is lost and bytes are exact; every delivery has ended or is
 * truly scheduled; history has no gaps and tells what the destination saw; nobody holds anything; counts agree; the
 * doctor finds nothing.
 */
import type { Pool } from "pg";
import { examineStore } from "../support/doctor.ts";
import type { Arrival } from "./arrivals.ts";

export interface Figures {
  readonly events: number;
  readonly attempts: number;
  readonly interrupted: number;
  /** Arrivals after the first one that was answered 2xx, each of them explained by an outcome that was lost. */
  readonly duplicates: number;
}

export interface Verdict {
  readonly figures: Figures;
  /** What does not hold; empty when all is well. */
  readonly problems: string[];
}

export interface Evidence {
  readonly webhookId: string;
  /** SHA-256 of the body of every acknowledged event, by id. */
  readonly acknowledged: ReadonlyMap<string, string>;
  readonly statuses: ReadonlyMap<number, number>;
  readonly arrivals: readonly Arrival[];
}

/** Problems of one kind that are listed; the rest is only counted. */
const LISTED_MAX = 3;

export async function judge(pool: Pool, evidence: Evidence): Promise<Verdict> {
  const { webhookId, acknowledged, arrivals } = evidence;
  const [events, deliveries] = [await readEvents(pool, webhookId), await readDeliveries(pool, webhookId)];
  const arrivedOf = Map.groupBy(arrivals, (arrival) => arrival.eventId);
  const problems: string[] = [
    ...judgeAnswers(evidence.statuses),
    ...judgeEvents(events, acknowledged, arrivals),
    ...deliveries.flatMap((delivery) => judgeDelivery(delivery, arrivedOf.get(delivery.event_id) ?? [])),
    ...(await judgeCounts(pool, webhookId)),
    ...(await askDoctor(pool)),
  ];
  const attempts = deliveries.flatMap((delivery) => delivery.attempts);
  const figures = {
    events: acknowledged.size,
    attempts: attempts.length,
    interrupted: attempts.filter((attempt) => attempt.status === "interrupted").length,
    duplicates: [...arrivedOf.values()].reduce((sum, each) => sum + repeatsOf(each), 0),
  };
  return { figures, problems: summarize(problems) };
}

/** A sender is told 200, or to come again; anything else is a fault of ours. */
function judgeAnswers(statuses: ReadonlyMap<number, number>): string[] {
  return [...statuses.keys()]
    .filter((status) => ![0, 200, 503].includes(status))
    .map((status) => `a sender was answered ${status}`);
}

interface EventRow {
  readonly id: string;
  readonly digest: string;
  readonly deliveries: number;
}

async function readEvents(pool: Pool, webhookId: string): Promise<Map<string, EventRow>> {
  const { rows } = await pool.query<EventRow>(
    `select e.id, encode(sha256(e.body), 'hex') as digest,
       (select count(*)::int from deliveries d where d.webhook_id = e.webhook_id and d.event_id = e.id) as deliveries
     from events e where e.webhook_id = $1`,
    [webhookId],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

function judgeEvents(
  events: ReadonlyMap<string, EventRow>,
  acknowledged: ReadonlyMap<string, string>,
  arrivals: readonly Arrival[],
): string[] {
  const problems: string[] = [];
  for (const [id, digest] of acknowledged) {
    const stored = events.get(id);
    if (!stored) problems.push(`an acknowledged event is lost: ${id}`);
    else if (stored.digest !== digest) problems.push(`an event is stored with other bytes: ${id}`);
  }
  for (const { id, deliveries } of events.values()) {
    if (deliveries !== 1) problems.push(`an event owes ${deliveries} deliveries: ${id}`);
  }
  for (const { eventId, digest } of arrivals) {
    if (events.get(eventId)?.digest !== digest) problems.push(`an event was delivered with other bytes: ${eventId}`);
  }
  return problems;
}

interface AttemptRow {
  readonly number: number;
  readonly status: "succeeded" | "failed" | "interrupted";
  readonly statusCode: number | null;
  readonly errorCode: string | null;
}

interface DeliveryRow {
  readonly id: string;
  readonly event_id: string;
  readonly status: string;
  readonly attempt_count: number;
  readonly completed: boolean;
  readonly attempts: readonly AttemptRow[];
  readonly queued: boolean;
  readonly idle: boolean;
  readonly waits: boolean;
  readonly agrees: boolean;
}

async function readDeliveries(pool: Pool, webhookId: string): Promise<DeliveryRow[]> {
  const { rows } = await pool.query<DeliveryRow>(
    `select d.id, d.event_id, d.status, d.attempt_count, d.completed_at is not null as completed,
       coalesce((select json_agg(json_build_object('number', a.number, 'status', a.status, 'statusCode', a.status_code,
           'errorCode', a.error_code) order by a.number)
         from attempts a where a.delivery_id = d.id), '[]') as attempts,
       q.delivery_id is not null as queued, q.lease_token is null and q.started_at is null as idle,
       q.due_at > now() as waits, q.due_at = d.next_attempt_at and q.attempts = d.attempt_count as agrees
     from deliveries d left join delivery_queue q on q.delivery_id = d.id where d.webhook_id = $1`,
    [webhookId],
  );
  return rows;
}

function judgeDelivery(delivery: DeliveryRow, arrivals: readonly Arrival[]): string[] {
  const what = `${delivery.id} (${delivery.status}: ${delivery.attempts.map(describe).join(", ")})`;
  return [...judgeState(delivery), ...judgeHistory(delivery), ...judgeArrivals(delivery, arrivals)].map(
    (problem) => `${problem}: ${what}`,
  );
}

const describe = ({ number, status, statusCode, errorCode }: AttemptRow) =>
  `${number} ${status} ${statusCode ?? ""} ${errorCode ?? ""}`.trim();

function judgeState({ status, completed, queued, idle, waits, agrees }: DeliveryRow): string[] {
  if (status === "succeeded" || status === "failed") {
    return [
      ...(queued ? ["a finished delivery is still queued"] : []),
      ...(completed ? [] : ["no time of completion"]),
    ];
  }
  if (status !== "pending") return ["a delivery has neither ended nor is it scheduled"];
  if (!queued) return ["a pending delivery is not queued"];
  return idle && waits && agrees && !completed ? [] : ["a pending delivery is not truly scheduled"];
}

function judgeHistory({ status, attempt_count, attempts }: DeliveryRow): string[] {
  const problems: string[] = [];
  if (attempts.length !== attempt_count || attempts.some(({ number }, index) => number !== index + 1)) {
    problems.push(`history has a gap (${attempt_count} attempts)`);
  }
  const successes = attempts.filter((attempt) => attempt.status === "succeeded").length;
  const last = attempts.at(-1)?.status;
  if (successes !== (status === "succeeded" ? 1 : 0)) problems.push(`${successes} attempts succeeded`);
  if (status === "succeeded" && last !== "succeeded") problems.push("an attempt followed the one that succeeded");
  if (attempts.some(({ errorCode }) => errorCode === "internal" || errorCode === "busy")) {
    problems.push("an attempt failed by our own fault");
  }
  return problems;
}

/** Each arrival is one recorded attempt, whose outcome is what the destination answered, unless it was lost. */
function judgeArrivals({ attempts }: DeliveryRow, arrivals: readonly Arrival[]): string[] {
  const problems: string[] = [];
  const arrived = Map.groupBy(arrivals, (arrival) => arrival.attempt);
  for (const [number, each] of arrived) {
    if (each.length > 1) problems.push(`attempt ${number} arrived ${each.length} times`);
    if (!attempts.some((attempt) => attempt.number === number)) problems.push(`attempt ${number} is not in history`);
  }
  for (const { number, status, statusCode, errorCode } of attempts) {
    const answered = arrived.get(number)?.[0]?.answered;
    if (statusCode !== null && answered !== statusCode) problems.push(`attempt ${number} was answered ${answered}`);
    const isLost = status === "interrupted" || (statusCode === null && errorCode !== null);
    if (answered !== undefined && statusCode === null && !isLost) problems.push(`attempt ${number} has no outcome`);
  }
  return problems;
}

function repeatsOf(arrivals: readonly Arrival[]): number {
  const first = arrivals.findIndex(({ answered }) => answered !== undefined && answered < 300);
  return first < 0 ? 0 : arrivals.length - 1 - first;
}

async function judgeCounts(pool: Pool, webhookId: string): Promise<string[]> {
  const { rows } = await pool.query<{ counted: number; attempted: number; late: boolean; orphans: number }>(
    `select coalesce(c.delivery_count, 0)::int as counted,
       (select count(distinct delivery_id)::int from attempts where webhook_id = $1) as attempted,
       c.last_delivery_at < (select max(started_at + duration_ms * interval '1 millisecond') from attempts
         where webhook_id = $1 and status <> 'interrupted') as late,
       (select count(*)::int from delivery_queue q where webhook_id = $1
         and not exists (select 1 from deliveries d where d.id = q.delivery_id)) as orphans
     from (select 1) one left join webhook_counters c on c.webhook_id = $1`,
    [webhookId],
  );
  const problems: string[] = [];
  for (const { counted, attempted, late, orphans } of rows) {
    if (counted !== attempted) problems.push(`deliveryCount is ${counted}, but ${attempted} have had an attempt`);
    if (late) problems.push("lastDeliveryAt is before the end of an attempt");
    if (orphans > 0) problems.push(`${orphans} queue rows have no delivery`);
  }
  return problems;
}

/** Clocks that were wrong leave rows outside their partitions, which is no harm. */
const BY_CLOCK = ["default_rows", "partition_missing"];

async function askDoctor(pool: Pool): Promise<string[]> {
  const findings = (await examineStore(pool)).filter(({ kind }) => !BY_CLOCK.includes(kind));
  return findings.map(({ kind, count, examples }) => `the doctor finds ${kind}: ${count}, such as ${examples[0]}`);
}

function summarize(problems: readonly string[]): string[] {
  const byKind = Map.groupBy(problems, (problem) => problem.split(":")[0] ?? problem);
  return [...byKind.values()].flatMap((each) => {
    const more = each.length - LISTED_MAX;
    return [...each.slice(0, LISTED_MAX), ...(more > 0 ? [`(and ${more} more like that)`] : [])];
  });
}
