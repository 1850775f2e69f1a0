/** Serving lanes: in one statement, what their bounds, their order and their circuits let begin now. */
import type { Pool } from "pg";
import { type Claim, type ClaimedDelivery, type ClaimRow, toClaimed } from "./claim.ts";

/** Organizations of one serving, lanes of each, and keys of one lane that are looked at. */
const ORGANIZATIONS_MAX = 32;
const LANES_MAX = 8;
const KEYS_MAX = 100;

/** What waits in a lane is due: it was when it was put there. */
const WAITING = "q.destination_id = m.destination_id and q.laned and q.started_at is null";
/** Those of a bulk job are not: they take their turns, and keep the order. */
const byHand = (row: string) => `(${row}.manual and ${row}.trigger = 'manual')`;
const TURN = `(case when ${byHand("q")} then 0 when q.order_key is not null then 3 when q.step = 0 then 1 else 2 end)`;
const inTurn = (turn: number) => `
  select * from (select q.*, ${turn} as turn from delivery_queue q where ${WAITING} and ${TURN} = ${turn}
    order by q.due_at limit m.room for update skip locked) turn_${turn}`;

// Whatever its state, the earliest of a key is its head; it begins if it waits in the lane and no other of its key is
// under way (one recorded earlier may have been seen later) or to be tried by hand.
const HEADS = `
  select * from (select q.*, 3 as turn
    from heads k join delivery_queue q on q.delivery_id = k.delivery_id
    where k.destination_id = m.destination_id and ${WAITING} and not ${byHand("q")}
      and not exists (select from busy b where b.destination_id = m.destination_id and b.order_key = q.order_key)
    limit m.room for update of q skip locked) turn_3`;

const SERVE = `
with recursive organizations as (
  (select organization_id, 1 as n from lanes where organization_id > $1 and next_at <= now()
    and organization_id <> all ($4::uuid[]) order by organization_id limit 1)
  union all
  select next.organization_id, o.n + 1 from organizations o cross join lateral (
    select organization_id from lanes where organization_id > o.organization_id and next_at <= now()
      and organization_id <> all ($4::uuid[]) order by organization_id limit 1) next
  where o.n < least(${ORGANIZATIONS_MAX}, $2)
), served as materialized (
  select l.* from organizations o cross join lateral (
    select l.*, l.xmin as version from lanes l where l.organization_id = o.organization_id and l.next_at <= now()
      and l.destination_id <> all ($3::uuid[])
    order by l.next_at limit least(${LANES_MAX}, $2) for update skip locked) l
), metered as materialized (
  select s.*, coalesce(w.status = 'active' and w.forwarding_stopped_at is null and w.url is not null, false) as takes,
    (w.delivery->>'maxConcurrency')::int as concurrency, rate.each_ms, rate.burst, paid.at as paid_at,
    floor(rate.burst - extract(epoch from paid.at - now()) * 1000 / rate.each_ms) as tokens,
    -- A probe that is not heard of for so long is given up with its lease.
    now() + ($10 + coalesce((w.delivery->>'timeoutMs')::int, 0)) * interval '1 millisecond' as probe_until,
    exists (select from delivery_queue q where q.destination_id = s.destination_id and q.laned and q.started_at is null)
      as waits,
    exists (select from delivery_queue q where q.destination_id = s.destination_id and q.laned and q.started_at is not null)
      as runs,
    exists (select from delivery_queue q where q.destination_id = s.destination_id and q.laned and q.started_at is null
      and ${TURN} = 3) as ordered
  -- Who served a lane after this statement began has begun what this statement does not see: that one waits for the next.
  from served s join lanes seen on seen.destination_id = s.destination_id and seen.xmin = s.version
    left join webhooks w on w.id = s.destination_id cross join lateral (
    select each_ms, coalesce((r->>'burst')::float8, greatest(floor(100 / each_ms), 1)) as burst
    from (select w.delivery->'rateLimit' as r, case w.delivery#>>'{rateLimit,per}' when 'minute' then 60000.0 else 1000.0
      end::float8 / (w.delivery#>>'{rateLimit,count}')::int as each_ms) rate) rate
    -- Another rate than the one that it was paid by asks for no more than a burst of its own.
    cross join lateral (select least(greatest(s.paid_until, now()),
      now() + rate.burst * rate.each_ms * interval '1 millisecond') as at) paid
), measured as materialized (
  select m.*, case when m.takes then greatest(least(coalesce(d.room, $5), m.tokens, m.concurrency - case
      when m.concurrency is not null then (select count(*) from delivery_queue q
        where q.destination_id = m.destination_id and q.laned and q.started_at is not null) end,
      case when m.circuit is not null then (m.circuit_until <= now())::int end), 0) else $5 end::int as room
  from metered m left join unnest($6::uuid[], $7::int[]) d (destination_id, room) using (destination_id)
), heads as materialized (
  select m.destination_id, k.* from measured m cross join lateral (
    with recursive head as (
      (select h.order_key, h.delivery_id, 1 as n from delivery_queue h
        where h.destination_id = m.destination_id and h.order_key > coalesce(m.order_cursor, ''::bytea)
        order by h.order_key, h.ordered_at, h.delivery_id limit 1)
      union all
      select next.order_key, next.delivery_id, head.n + 1 from head cross join lateral (
        select h.order_key, h.delivery_id from delivery_queue h
        where h.destination_id = m.destination_id and h.order_key > head.order_key
        order by h.order_key, h.ordered_at, h.delivery_id limit 1) next
      where head.n < ${KEYS_MAX}
    )
    select * from head) k
  where m.ordered and m.room > 0
), busy as materialized (
  select q.destination_id, q.order_key from measured m cross join lateral (
    select * from delivery_queue q where q.destination_id = m.destination_id and q.laned and q.started_at is not null
    union all
    select * from delivery_queue q where q.destination_id = m.destination_id and q.laned and q.started_at is null
      and ${TURN} = 0) q
  where m.ordered and m.room > 0 and q.order_key is not null
), found as materialized (
  select p.*, m.takes, row_number() over (partition by p.destination_id, p.turn order by p.due_at) as place
  from measured m cross join lateral (${[0, 1, 2].map(inTurn).join(" union all ")} union all ${HEADS}) p
  where m.room > 0
), ranked as materialized (
  select f.*, row_number() over (partition by f.destination_id order by f.turn > 0, f.place, f.turn) as lane_rank
  from found f
), chosen as materialized (
  select * from (
    select r.*, row_number() over (order by r.organization_rank, r.delivery_id) as rank
    from (
      select r.*, row_number() over (partition by r.organization_id order by r.lane_rank, r.delivery_id) as organization_rank
      from ranked r join measured m using (destination_id) where r.lane_rank <= m.room
    ) r left join unnest($8::uuid[], $9::int[]) o (organization_id, room) on o.organization_id = r.organization_id
    where r.organization_rank <= coalesce(o.room, $2)
  ) r where r.rank <= $2
), leased as (
  update delivery_queue q set lease_token = gen_random_uuid(), due_at = now() + $10 * interval '1 millisecond',
    attempts = q.attempts + 1, step = q.step + (not q.manual)::int, started_at = now()
  from chosen c where q.delivery_id = c.delivery_id and c.takes
  returning q.delivery_id, q.organization_id, q.webhook_id, q.event_id, q.lease_token, q.attempts, q.step, q.manual,
    q.resume_at, q.trigger
), counted as materialized (
  select m.*, (select count(*) from found f where f.destination_id = m.destination_id) as waiting,
    (select count(*) from chosen c where c.destination_id = m.destination_id and c.takes) as taken,
    -- The keys that follow are looked at next; after the last of them, the first.
    case when (select count(*) from found f where f.destination_id = m.destination_id and f.turn = 3) >= m.room
      then coalesce((select order_key from chosen c where c.destination_id = m.destination_id and c.turn = 3
        order by order_key desc limit 1), m.order_cursor)
      else (select order_key from heads h where h.destination_id = m.destination_id and h.n = ${KEYS_MAX}) end as cursor
  from measured m
), counts as materialized (
  -- One that had only been slow goes as soon as all is taken, so that what comes next need not wait in line. Any other
  -- stays while one of its own runs, whose end must find it.
  select *, circuit is null and (each_ms is null or paid_at <= now()) and case
    when not takes or each_ms is not null or concurrency is not null or ordered then not waits and not runs
    else taken = waiting and waiting < room end as needless
  from counted
), drained as (
  -- Who puts something there meanwhile makes it anew (ensureLanes, mendLanes).
  delete from lanes l using counts c where l.destination_id = c.destination_id and c.needless
), moved as (
  update lanes l set order_cursor = c.cursor,
    paid_until = case when c.each_ms is not null
      then c.paid_at + c.taken * c.each_ms * interval '1 millisecond' end,
    circuit = case when c.circuit is not null and c.taken > 0 then 'half_open' else l.circuit end,
    circuit_until = case when c.circuit is not null and c.taken > 0 then c.probe_until else l.circuit_until end,
    next_at = case
      when c.circuit is not null and c.taken > 0 then c.probe_until
      when c.circuit is not null and c.room = 0 then greatest(l.circuit_until, now())
      when c.waiting > 0 and c.taken = 0 and c.takes then l.next_at
      when c.each_ms is not null and c.tokens - c.taken < 1 and c.waits
        then c.paid_at + (c.taken + 1 - c.burst) * c.each_ms * interval '1 millisecond'
      when c.taken > 0 or coalesce(c.cursor, c.order_cursor) is not null or (c.waiting > 0 and not c.takes)
        then clock_timestamp()
      -- Until something comes, ends or falls due.
      else 'infinity' end
  from counts c where l.destination_id = c.destination_id and not c.needless
)
update deliveries d set attempt_count = c.attempts, updated_at = now(),
  status = case when c.takes then 'delivering' else d.status end,
  next_attempt_at = case when not c.takes then d.next_attempt_at end
from chosen c left join leased l using (delivery_id) join measured m on m.destination_id = c.destination_id
where d.id = c.delivery_id
returning c.delivery_id, l.organization_id, l.webhook_id, l.event_id, l.lease_token, l.attempts, l.step, l.manual,
  l.resume_at is not null as resumes, coalesce(l.trigger, 'scheduled') as trigger,
  extract(epoch from now() - c.due_at)::float8 * 1000 as late_ms, true as laned,
  m.circuit is not null as probe`;

/** How much room there is: by id, for those that have less than anybody. */
export type Rooms = ReadonlyMap<string, number>;

export interface ServeOptions {
  readonly limit: number;
  readonly leaseMs: number;
  /** Organizations up to this one have had their turn. */
  readonly after: string;
  /** Destinations and organizations that take no more now. */
  readonly except: readonly string[];
  readonly exceptOrganizations: readonly string[];
  /** Rows that one lane gives, unless its destination has less room. */
  readonly laneRowsMax: number;
  readonly destinationRooms: Rooms;
  readonly organizationRooms: Rooms;
}

/** Takes from lanes what may begin now. */
export async function serveLanes(pool: Pool, options: ServeOptions): Promise<Claim> {
  const { limit, leaseMs, after, except, exceptOrganizations, laneRowsMax } = options;
  const rooms = [options.destinationRooms, options.organizationRooms].flatMap((map) => [
    [...map.keys()],
    [...map.values()],
  ]);
  const values = [after, limit, except, exceptOrganizations, laneRowsMax, ...rooms, leaseMs];
  const { rows } = await pool.query<ClaimRow>({ name: "serve-lanes", text: SERVE, values });
  const claimed: ClaimedDelivery[] = [];
  const blocked: string[] = [];
  for (const row of rows) {
    if (row.lease_token === null) blocked.push(row.delivery_id);
    else claimed.push(toClaimed(row, row.lease_token));
  }
  return { found: rows.length, claimed, lost: [], blocked, parked: [] };
}
