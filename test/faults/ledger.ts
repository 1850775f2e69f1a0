/** What must hold after any fault: nothing acknowledged is lost, every delivery has ended, history has no gaps. */
import type { Pool } from "pg";
import { expect } from "vitest";
import type { Destination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";

/** Waits until nothing is owed any more. */
export async function settled(pool: Pool, withinMs: number): Promise<void> {
  await eventually(
    "nothing is owed",
    async () => (await pool.query("select 1 from delivery_queue limit 1")).rowCount === 0,
    withinMs,
  );
}

/** Every acknowledged event is stored, byte for byte, and owes exactly one delivery. */
export async function expectStored(pool: Pool, acknowledged: ReadonlyMap<string, Buffer>): Promise<void> {
  const { rows } = await pool.query<{ id: string; body: Buffer; deliveries: number }>(
    `select e.id, e.body, (select count(*)::int from deliveries d where d.event_id = e.id) as deliveries
     from events e where e.id = any ($1::uuid[])`,
    [[...acknowledged.keys()]],
  );
  const stored = new Map(rows.map((row) => [row.id, row]));
  const lost = [...acknowledged].filter(([id, body]) => !stored.get(id)?.body.equals(body)).map(([id]) => id);
  expect(lost).toEqual([]);
  expect(rows.filter((row) => row.deliveries !== 1)).toEqual([]);
}

interface DeliveryRow {
  readonly event_id: string;
  readonly status: string;
  readonly attempt_count: number;
  readonly numbers: number[];
  readonly outcomes: string[];
}

/** Every delivery succeeded, its attempts numbered without a gap, only its last one successful. */
export async function expectSucceeded(pool: Pool): Promise<DeliveryRow[]> {
  const { rows } = await pool.query<DeliveryRow>(
    `select d.event_id, d.status, d.attempt_count,
       coalesce(array_agg(a.number order by a.number) filter (where a.number is not null), '{}') as numbers,
       coalesce(array_agg(a.status order by a.number) filter (where a.number is not null), '{}') as outcomes
     from deliveries d left join delivery_attempts a on a.delivery_id = d.id
     group by d.id, d.event_id, d.status, d.attempt_count`,
  );
  const wrong = rows.filter(({ status, attempt_count, numbers, outcomes }) => {
    const gapless = numbers.length === attempt_count && numbers.every((number, index) => number === index + 1);
    const once = outcomes.at(-1) === "succeeded" && outcomes.filter((one) => one === "succeeded").length === 1;
    return status !== "succeeded" || !gapless || !once;
  });
  expect(wrong).toEqual([]);
  return rows;
}

/** The destination saw every attempt that is recorded, and nothing else but attempts that could not be. */
export function expectNoNeedlessRepeats(deliveries: readonly DeliveryRow[], destination: Destination): void {
  const seen = new Map<string, number>();
  for (const { headers } of destination.arrivals) {
    const id = String(headers["webhook-id"]);
    seen.set(id, (seen.get(id) ?? 0) + 1);
  }
  const wrong = deliveries.filter(({ event_id, outcomes }) => {
    const recorded = outcomes.filter((outcome) => outcome !== "interrupted").length;
    const times = seen.get(event_id) ?? 0;
    return times < recorded || times > outcomes.length;
  });
  expect(wrong).toEqual([]);
}

/** Counts of deliveries agree with history. */
export async function expectCounted(pool: Pool): Promise<void> {
  const { rows } = await pool.query(
    `select c.delivery_count::int as counted, count(distinct a.delivery_id)::int as attempted
     from webhook_counters c left join delivery_attempts a using (webhook_id) group by c.webhook_id, c.delivery_count`,
  );
  for (const row of rows) expect(row.counted).toBe(row.attempted);
}
