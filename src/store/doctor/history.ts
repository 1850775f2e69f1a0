/** Partitions: those of the days to come are there, and nothing lies in a default one. */
import { adoptStrays, DAY_MS, ensurePartitions, HISTORY, listPartitions, missingSpans } from "../partitions.ts";
import type { Examination } from "./examination.ts";

/** Rows of a default partition that are counted; more are as bad. */
const COUNTED_MAX = 10_000;

export async function examineHistory(examination: Examination): Promise<void> {
  const { client, options, findings } = examination;
  const { mend, partitions, retentionDays } = options;
  const nowMs = Date.now();
  const missing = await missingPartitions(examination, nowMs);
  if (mend && missing.length > 0) await ensurePartitions(client, nowMs, partitions);
  const left = mend && missing.length > 0 ? await missingPartitions(examination, nowMs) : missing;
  findings.add("partition_missing", missing, missing.length - left.length);

  const strays = await defaultRows(examination);
  if (mend && strays.count > 0) await adoptStrays(client, nowMs, nowMs - retentionDays * DAY_MS, partitions);
  const after = mend && strays.count > 0 ? await defaultRows(examination) : strays;
  findings.add("default_rows", strays.tables, Math.max(strays.count - after.count, 0), strays.count);
}

/** Table and first day of each stretch without a partition. */
async function missingPartitions({ client, options }: Examination, nowMs: number): Promise<string[]> {
  const missing: string[] = [];
  for (const { table } of HISTORY) {
    const spans = missingSpans(await listPartitions(client, table), nowMs, options.partitions);
    missing.push(...spans.map(({ fromMs }) => `${table} ${new Date(fromMs).toISOString().slice(0, 10)}`));
  }
  return missing;
}

async function defaultRows({ client }: Examination): Promise<{ tables: string[]; count: number }> {
  const tables: string[] = [];
  let count = 0;
  for (const { table } of HISTORY) {
    const { rows } = await client.query<{ n: number }>(
      `select count(*)::int as n from (select 1 from ${table}_default limit ${COUNTED_MAX}) counted`,
    );
    const n = rows[0]?.n ?? 0;
    if (n > 0) tables.push(`${table}_default`);
    count += n;
  }
  return { tables, count };
}
