/** Bounds of looking through what was recorded, and of steering it, that stand in LIMITS. */

export const SCAN_LIMITS = {
  /** Filtered lists: rows that one page examines, and how long it may look, milliseconds. */
  scanRowsMax: 100_000,
  scanMsMax: 2_000,
  /** Rows that one step examines, and bytes of bodies that a search looks through in it. */
  scanStepRowsMax: 5_000,
  scanStepBytesMax: 16 * 1024 * 1024,
} as const;

export const BULK_LIMITS = {
  /** Deliveries of one bulk job, and jobs of one organization that are not finished. */
  bulkMatchesMax: 2_000_000,
  bulkJobsMax: 20,
  /** Deliveries of one step. */
  bulkStepRowsMax: 500,
  /** Due deliveries of a destination that may wait before a job adds more, and how long it then rests, milliseconds. */
  bulkBacklogMax: 500,
  bulkRestMs: 250,
} as const;
