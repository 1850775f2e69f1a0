/** What an event of 1 KB costs, at a rate that the service keeps up with; and what passes while nothing happens. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Gateway, SECRET } from "./gateway.ts";
import { type BodyKind, loadAtRate } from "./load-receive.ts";
import { type Cell, report } from "./report.ts";
import { EVENT_BYTES, RATE_MS, type Scene } from "./scene.ts";

const RATE = 1_000;

interface Used {
  readonly wal: number;
  /** Of the log, what is whole pages that were written for the first time since a checkpoint. */
  readonly pages: number;
  readonly table: number;
  readonly service: number;
  readonly postgres: number;
}

/** Of history: the queue grows and shrinks. */
const TABLE_BYTES = `select sum(pg_total_relation_size(oid)) from pg_class
  where relkind = 'r' and relnamespace = 'public'::regnamespace and relname ~ '^(events|deliveries|delivery_attempts)_'`;

async function during(gateway: Gateway, work: () => Promise<unknown>): Promise<Used> {
  const lsn = await gateway.query<string>("select pg_current_wal_insert_lsn()");
  const [bytes, cpu] = [Number(await gateway.query(TABLE_BYTES)), await gateway.cpuSeconds()];
  await work();
  const used = await gateway.cpuSeconds();
  const end = await gateway.query<string>("select pg_current_wal_insert_lsn()");
  // Nothing is read where nothing was written.
  const pages = "select sum(fpi_length) from pg_get_wal_records_info($1, $2)";
  return {
    wal: Number(await gateway.query("select pg_wal_lsn_diff($1, $2)", [end, lsn])),
    pages: end === lsn ? 0 : Number(await gateway.query(pages, [lsn, end])),
    table: Number(await gateway.query(TABLE_BYTES)) - bytes,
    service: used.service - cpu.service,
    postgres: used.postgres - cpu.postgres,
  };
}

/** Resolves to the bytes of log for a delivered event, whole pages apart. */
export async function measureCost({ gateway, forwarding, silent }: Scene): Promise<number> {
  await gateway.query("create extension if not exists pg_walinspect");
  const rows: Cell[][] = [];
  let delivered = Number.NaN;
  for (const [name, webhook, kind] of [
    ["received", silent, "json"],
    ["received and delivered", forwarding, "json"],
    ["the same, of a body that does not compress", forwarding, "random"],
  ] as const satisfies readonly (readonly [string, unknown, BodyKind])[]) {
    let events = 0;
    const used = await during(gateway, async () => {
      const load = { port: gateway.port, path: webhook.path, secret: SECRET, bytes: EVENT_BYTES, durationMs: RATE_MS };
      events = (await loadAtRate({ ...load, rate: RATE, kind })).answers;
      await gateway.settled();
    });
    const perEvent = [used.wal - used.pages, used.pages, used.table, 1e6 * used.service, 1e6 * used.postgres].map(
      (sum) => sum / events,
    );
    if (name === "received and delivered") delivered = perEvent[0] ?? Number.NaN;
    rows.push([name, ...perEvent]);
  }
  const rest = await during(gateway, () => sleep(1_000));
  rows.push([
    "at rest, for a second",
    rest.wal - rest.pages,
    rest.pages,
    rest.table,
    1e6 * rest.service,
    1e6 * rest.postgres,
  ]);
  const head = ["", "WAL bytes", "and whole pages", "table bytes", "service CPU µs", "PostgreSQL CPU µs"];
  report(`Cost of an event of 1 KB, at ${RATE}/s`, head, rows);
  return delivered;
}
