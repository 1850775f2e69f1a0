import { type Config, LIMITS, partitionPlan } from "../config.ts";
import { createLogger } from "../observe/logger.ts";
import { openStore, type Store } from "../store/store.ts";

/** Runs `work` with the store of the configuration, shared with a running service, and closes it again. */
export async function withStore(config: Config, work: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore({
    databaseUrl: config.databaseUrl,
    dataDir: config.dataDir,
    // Commands answer on standard output; what goes well needs no log.
    logger: createLogger(config.logLevel === "info" ? "warn" : config.logLevel),
    hotConnectionsMax: 2,
    ormConnectionsMax: 2,
    lookupConnectionsMax: 1,
    statementTimeoutMs: LIMITS.statementTimeoutMs,
    connectTimeoutMs: LIMITS.connectTimeoutMs,
    partitions: partitionPlan(config),
  });
  try {
    await work(store);
  } finally {
    await store.close();
  }
}
