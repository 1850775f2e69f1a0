import type { ClientBase, Pool } from "pg";
import type { PartitionPlan } from "../partitions.ts";
import type { FindingKind, Findings } from "./findings.ts";

export interface ExaminationOptions {
  /** Whether what is safe to mend is mended. */
  readonly mend: boolean;
  readonly retentionDays: number;
  readonly partitions: PartitionPlan;
  /** How long a worker leases a delivery, milliseconds. */
  readonly leaseMs: number;
  readonly limits: {
    /** Rows that one statement looks at. */
    readonly doctorBatchRows: number;
    /** A lease that ends later than this from now is nobody's, milliseconds. */
    readonly doctorLeaseMsMax: number;
    /** How long something may be due before it is looked at twice, and the time between, milliseconds. */
    readonly doctorOverdueMs: number;
    readonly doctorRecheckMs: number;
    /** Steps of what the doctor does in place of those who ought to. */
    readonly releaseBatchRows: number;
    readonly purgeBatchRows: number;
    readonly purgeLateMs: number;
    readonly purgeRecheckMs: number;
  };
  /** Waits after a statement that took so long, milliseconds; an examination in the background takes its time. */
  readonly rest: (tookMs: number) => Promise<void>;
  /** Waits between two looks; told what is to be looked at again. */
  readonly wait: (ms: number, kinds: readonly FindingKind[]) => Promise<void>;
  /** Ends the examination after the statement under way. */
  readonly signal: AbortSignal;
}

/** What every check works with. */
export interface Examination {
  readonly client: ClientBase;
  /** For the steps that take a connection of their own. */
  readonly pool: Pool;
  readonly options: ExaminationOptions;
  readonly findings: Findings;
}

/** Goes through a table in pages; `page` resolves to where the next one begins, or undefined at the end. */
export async function walk<Position>(
  { options }: Examination,
  start: Position,
  page: (after: Position) => Promise<Position | undefined>,
): Promise<void> {
  let position: Position | undefined = start;
  while (position !== undefined && !options.signal.aborted) {
    const startedMs = performance.now();
    position = await page(position);
    await options.rest(performance.now() - startedMs);
  }
}

export const NO_ID = "00000000-0000-0000-0000-000000000000";
