/**
 * Recording attempts: a batch of outcomes in one commit, each fenced by its lease and its attempt. A row whose lease
 * was lost changes nothing; whoever took it over has already written the attempt down as interrupted. Nor does one
 * that is recorded already, submitted again because the answer to its commit was lost. The attempt that succeeds is
 * recorded with its delivery, any other by a row of its own.
 */
import type { Pool } from "pg";
import type { AttemptTrigger } from "../entities/delivery.ts";
import { AWAKE } from "./lanes.ts";
import { noticesOf } from "./notices.ts";

/** What becomes of the delivery after an attempt. */
export type NextState =
  | { readonly kind: "succeeded" | "failed" | "canceled" }
  /**
   * Goes back to the queue. `keepStep`: the attempt does not count for the schedule. `resumes`: the schedule goes on
   * when it was to before a manual attempt, if that is later. `unordered`: those that are in order behind it may pass.
   */
  | {
      readonly kind: "retry";
      readonly delayMs: number;
      readonly keepStep?: boolean;
      readonly resumes?: boolean;
      readonly unordered?: boolean;
    }
  /** Stays with this worker, which tries again after the delay. */
  | { readonly kind: "quick"; readonly delayMs: number };

/** One finished attempt. */
export interface CompletedAttempt {
  readonly deliveryId: string;
  readonly leaseToken: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly number: number;
  readonly trigger: AttemptTrigger;
  /** Whether its destination has a lane. */
  readonly laned: boolean;
  readonly succeeded: boolean;
  readonly url: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Parts of the duration; null: they did not take place. */
  readonly times: Readonly<Record<"dnsMs" | "connectMs" | "tlsMs" | "firstByteMs", number | null>>;
  readonly statusCode: number | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** Version of the service that sent it; null where nothing was sent. */
  readonly senderVersion: string | null;
  /** Names of the webhook's own headers and credentials that were sent; null: it has none. */
  readonly credentialHeaders: readonly string[] | null;
  readonly responseHeaders: readonly (readonly [name: string, value: string])[];
  readonly responseBody: Buffer;
  readonly responseTruncated: boolean;
  readonly remoteAddress: string | null;
  readonly next: NextState;
}

const ENDED = "started_at + duration_ms * interval '1 millisecond'";
/** A destination that was left alone for longer begins to fail anew: longer than any schedule waits (SCHEDULE_DELAY_MS_MAX). */
const SILENCE_DAYS = 8;
/** But for failures that say nothing about the destination. */
const BLAMED = "status = 'failed' and error_code <> all ('{aborted,internal,expired,too_many_hops,proxy}')";
const FAILURES = `, min(${ENDED}) filter (where ${BLAMED}) as failed_at,
      max(${ENDED}) filter (where ${BLAMED}) as failed_until, bool_or(status = 'succeeded') as worked`;
const FAILING = `failing_since = case when not f.worked then coalesce(
      case when f.failed_at < c.failing_until + interval '${SILENCE_DAYS} days' then c.failing_since end,
      f.failed_at, c.failing_since) end,
    failing_until = case when not f.worked then coalesce(f.failed_until, c.failing_until) end`;

const NOTICED = `noticed as (${noticesOf(
  "delivery.exhausted",
  `select organization_id, webhook_id, jsonb_build_object('deliveryId', delivery_id, 'attemptCount', number,
    'statusCode', status_code, 'errorCode', error_code, 'errorMessage', error_message) as data
  from fenced where next = 'failed'`,
)}
), `;

// A row is its own fence as it is deleted or updated. Rows are locked in the order of their ids, which is that of the
// input; a batch of which some go and some stay ($4) locks them all before, because it takes them in two steps. So are
// counters, where there are several. The update of the partitioned table stands last, never in a CTE: see partitions.ts.
const statement = (fails: boolean) => `
with input as materialized (
  select * from json_to_recordset($1::json) as i (
    n int, delivery_id uuid, lease_token uuid, organization_id uuid, webhook_id uuid, number int, trigger text,
    status text, url text, started_at timestamptz, duration_ms int, dns_ms int, connect_ms int, tls_ms int,
    first_byte_ms int, status_code int, error_code text, error_message text, sender_version text,
    credential_headers text[], response_headers json, body_at int, body_size int, truncated boolean,
    remote_address text, next text, delay_ms bigint, keep_step boolean, resumes boolean, laned boolean, unordered boolean)
), locked as materialized (
  select from delivery_queue q join input i using (delivery_id) where $4 order by q.delivery_id for update of q
), finished as (
  delete from delivery_queue q using input i
  where q.delivery_id = i.delivery_id and q.lease_token = i.lease_token and q.attempts = i.number
    and q.started_at is not null and i.next in ('succeeded', 'failed', 'canceled')
    and (select count(*) from locked) >= 0
  returning i.n
), waiting as (
  update delivery_queue q set started_at = null, manual = false, trigger = null, resume_at = null,
    step = q.step - i.keep_step::int, laned = false,
    order_key = case when i.unordered then null else q.order_key end,
    due_at = greatest(now() + i.delay_ms * interval '1 millisecond', case when i.resumes then q.resume_at end)
      + case when i.next = 'quick' then $3 else 0 end * interval '1 millisecond',
    lease_token = case when i.next = 'quick' then q.lease_token end
  from input i
  where q.delivery_id = i.delivery_id and q.lease_token = i.lease_token and q.attempts = i.number
    and q.started_at is not null and i.next in ('retry', 'quick')
    and (select count(*) from locked) >= 0
  returning i.n, q.due_at - case when i.next = 'quick' then $3 else 0 end * interval '1 millisecond' as next_at
), lanes_locked as materialized (
  -- A lane may wait for one of its own to end, or be about to.
  select l.destination_id from lanes l
  where $5 and l.destination_id in (select webhook_id from input where laned) and l.circuit is null
  order by l.destination_id for update
), woken as (
  update lanes l set next_at = ${AWAKE} from lanes_locked k where l.destination_id = k.destination_id
), fenced as materialized (
  select i.*, f.next_at
  from input i join (select n, null::timestamptz as next_at from finished union all select * from waiting) f using (n)
), recorded as (
  insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, url, started_at,
    duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, status_code, error_code, error_message, sender_version,
    credential_headers, response_headers, response_body, response_truncated, remote_address, next_attempt_at)
  select delivery_id, number, organization_id, webhook_id, trigger, status, url, started_at, duration_ms, dns_ms,
    connect_ms, tls_ms, first_byte_ms, status_code, error_code, error_message, sender_version, credential_headers,
    response_headers,
    case when status_code is not null then substring($2::bytea from body_at + 1 for body_size) end,
    truncated, remote_address, next_at
  from fenced where next <> 'succeeded'
), ${fails ? NOTICED : ""}counted as materialized (
  select from webhook_counters c
  where c.webhook_id in (select webhook_id from fenced) and (select count(distinct webhook_id) > 1 from fenced)
  order by c.webhook_id for update
), counters as (
  update webhook_counters c set delivery_count = c.delivery_count + f.first_attempts,
    last_delivery_at = greatest(c.last_delivery_at, f.ended_at),
    ${fails ? FAILING : "failing_since = null"}
  from (select webhook_id, count(*) filter (where number = 1) as first_attempts,
      max(${ENDED}) as ended_at${fails ? FAILURES : ""}
    from fenced group by webhook_id) f
  where c.webhook_id = f.webhook_id and (select count(*) from counted) >= 0
)
update deliveries d set status = case when f.next in ('retry', 'quick') then 'pending' else f.next end,
  attempt_count = f.number, url = f.url, next_attempt_at = f.next_at, updated_at = now(),
  completed_at = case when f.next in ('retry', 'quick') then null else now() end,
  (trigger, started_at, duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, status_code, sender_version,
    credential_headers, response_headers, response_body, response_truncated, remote_address) = (select f.trigger,
    f.started_at, f.duration_ms, f.dns_ms, f.connect_ms, f.tls_ms, f.first_byte_ms, f.status_code, f.sender_version,
    f.credential_headers, f.response_headers, substring($2::bytea from f.body_at + 1 for f.body_size), f.truncated,
    f.remote_address where f.next = 'succeeded')
from fenced f where d.id = f.delivery_id
returning f.n`;

/** Nearly every batch holds successes alone, and need not look for more. */
const SUCCEEDED = { name: "complete-succeeded", text: statement(false) };
const COMPLETE = { name: "complete", text: statement(true) };

/**
 * Commits a batch of outcomes; resolves to whether each was recorded under its lease now. A quick retry keeps its
 * lease for `leaseMs` beyond its delay.
 */
export async function completeAttempts(
  pool: Pool,
  attempts: readonly CompletedAttempt[],
  leaseMs: number,
): Promise<boolean[]> {
  const bodies = Buffer.concat(attempts.map((attempt) => attempt.responseBody));
  const staying = attempts.filter(({ next }) => next.kind === "retry" || next.kind === "quick").length;
  const mixed = staying > 0 && staying < attempts.length;
  const { rows } = await pool.query<{ n: number }>({
    ...(attempts.every(({ next }) => next.kind === "succeeded") ? SUCCEEDED : COMPLETE),
    values: [encodeAttempts(attempts), bodies, leaseMs, mixed, attempts.some(({ laned }) => laned)],
  });
  const held: boolean[] = new Array(attempts.length).fill(false);
  for (const row of rows) held[row.n] = true;
  return held;
}

function encodeAttempts(attempts: readonly CompletedAttempt[]): string {
  let bodyAt = 0;
  const encoded = attempts.map((attempt, n) => {
    const at = bodyAt;
    bodyAt += attempt.responseBody.length;
    return {
      n,
      delivery_id: attempt.deliveryId,
      lease_token: attempt.leaseToken,
      organization_id: attempt.organizationId,
      webhook_id: attempt.webhookId,
      number: attempt.number,
      trigger: attempt.trigger,
      status: attempt.succeeded ? "succeeded" : "failed",
      url: attempt.url,
      started_at: new Date(attempt.startedAtMs),
      duration_ms: Math.round(attempt.durationMs),
      dns_ms: wholeMs(attempt.times.dnsMs),
      connect_ms: wholeMs(attempt.times.connectMs),
      tls_ms: wholeMs(attempt.times.tlsMs),
      first_byte_ms: wholeMs(attempt.times.firstByteMs),
      status_code: attempt.statusCode,
      error_code: attempt.errorCode,
      error_message: attempt.errorMessage,
      sender_version: attempt.senderVersion,
      credential_headers: attempt.credentialHeaders ?? undefined,
      response_headers: attempt.responseHeaders,
      body_at: at,
      body_size: attempt.responseBody.length,
      truncated: attempt.responseTruncated,
      remote_address: attempt.remoteAddress,
      next: attempt.next.kind,
      delay_ms: "delayMs" in attempt.next ? Math.round(attempt.next.delayMs) : null,
      keep_step: "keepStep" in attempt.next && attempt.next.keepStep === true,
      resumes: "resumes" in attempt.next && attempt.next.resumes === true,
      laned: attempt.laned,
      unordered: "unordered" in attempt.next && attempt.next.unordered === true,
    };
  });
  encoded.sort((one, other) => (one.delivery_id < other.delivery_id ? -1 : 1));
  return JSON.stringify(encoded);
}

/** Left out of the JSON where there is none. */
const wholeMs = (ms: number | null): number | undefined => (ms === null ? undefined : Math.round(ms));
