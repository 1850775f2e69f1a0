/** The part of the composition root that shows what was recorded, and steers what is owed. */
import { type Config, LIMITS, type Limits } from "./config.ts";
import { BulkJobs } from "./core/bulk-jobs.ts";
import { BulkRunner } from "./core/bulk-runner.ts";
import { Deliveries } from "./core/deliveries.ts";
import { Events } from "./core/events.ts";
import { FairTurns } from "./core/fair-turns.ts";
import { newId } from "./core/ids.ts";
import { Scans } from "./core/scans.ts";
import { TraceLists } from "./core/trace-lists.ts";
import type { Logger } from "./observe/logger.ts";
import type { Observer } from "./observe/observer.ts";
import { SCAN_CONNECTIONS_MAX } from "./store/pool.ts";
import type { Store } from "./store/store.ts";

/** `wake` tells the delivery loop that something is due. */
export function createHistory(parts: {
  config: Config;
  limits: Limits;
  logger: Logger;
  observer: Observer;
  store: Store;
  wake: () => void;
}) {
  const { config, limits, logger, observer, store, wake } = parts;
  const { orm, pool } = store;
  const scans = new Scans({ limits, turns: new FairTurns(SCAN_CONNECTIONS_MAX / 2) });
  const means = { orm, pool, scanPool: store.scans, scans, wake };
  const runner = new BulkRunner({
    pool: store.upkeepPool,
    logger,
    step: {
      rows: limits.bulkStepRowsMax,
      backlogMax: limits.bulkBacklogMax,
      restMs: limits.bulkRestMs,
      leaseMs: config.deliveryLeaseMs,
      newId,
    },
    onDue: wake,
  });
  return {
    events: new Events({
      ...means,
      inlineBodyBytesMax: LIMITS.inlineBodyBytesMax,
      scanBytesMax: limits.scanStepBytesMax,
    }),
    deliveries: new Deliveries({ ...means, leaseMs: config.deliveryLeaseMs, observer }),
    traces: new TraceLists({ orm }),
    bulkJobs: new BulkJobs({ ...means, limits, turns: new FairTurns(1), wake: () => runner.wake() }),
    runner,
  };
}
