/** The doctor: looks whether the store is as every writer ought to leave it, and mends what is safe to mend. */
import type { Pool } from "pg";
import { beginTally, examineCounters } from "./counters.ts";
import { examineDedupe } from "./dedupe.ts";
import { examineDeliveries } from "./deliveries.ts";
import type { Examination, ExaminationOptions } from "./examination.ts";
import { type Finding, Findings } from "./findings.ts";
import { examineHistory } from "./history.ts";
import { examineQueue } from "./queue.ts";
import { examineStuck } from "./stuck.ts";

/**
 * Examines everything, page by page, on one connection of the pool; live traffic gives no false alarm. Resolves to what
 * was found, with what was mended of it. What an end by the signal has cut short is not looked at.
 */
export async function examine(pool: Pool, options: ExaminationOptions): Promise<Finding[]> {
  const client = await pool.connect();
  let clean = false;
  try {
    const examination: Examination = { client, pool, options, findings: new Findings() };
    await examineHistory(examination);
    await examineQueue(examination);
    const tally = await beginTally(examination);
    await examineDeliveries(examination, tally);
    await examineCounters(examination, tally);
    await examineDedupe(examination);
    await examineStuck(examination);
    clean = true;
    return examination.findings.list();
  } finally {
    client.release(!clean);
  }
}
