/** The doctor as tests ask it. */
import type { Pool } from "pg";
import { LIMITS, partitionPlan } from "../../src/config.ts";
import type { ExaminationOptions } from "../../src/store/doctor/examination.ts";
import { examine } from "../../src/store/doctor/examine.ts";
import type { Finding } from "../../src/store/doctor/findings.ts";

const RETENTION_DAYS = 30;

/** Examines a store without mending it, and without waiting before a second look; `overrides` change that. */
export async function examineStore(pool: Pool, overrides: Partial<ExaminationOptions> = {}): Promise<Finding[]> {
  return await examine(pool, {
    mend: false,
    limits: LIMITS,
    retentionDays: RETENTION_DAYS,
    partitions: partitionPlan({ retentionDays: RETENTION_DAYS }),
    leaseMs: 60_000,
    rest: async () => {},
    wait: async () => {},
    signal: new AbortController().signal,
    ...overrides,
  });
}
