/** The service's own kind of pool on a test database, for tests of what lies below the service. */
import type { Pool } from "pg";
import { LIMITS } from "../../src/config.ts";
import { createPool as createStorePool, type StoreConnection } from "../../src/store/pool.ts";
import type { TestDatabase } from "./postgres.ts";

export function connectionTo(database: TestDatabase): StoreConnection {
  return {
    target: database.url,
    hotConnectionsMax: 4,
    ormConnectionsMax: 2,
    lookupConnectionsMax: 1,
    statementTimeoutMs: LIMITS.statementTimeoutMs,
    connectTimeoutMs: LIMITS.connectTimeoutMs,
  };
}

/** End it before the database is dropped. */
export function createPool(database: TestDatabase): Pool {
  return createStorePool(connectionTo(database), "hot", () => {});
}
