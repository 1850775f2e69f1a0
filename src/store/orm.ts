/**
 * MikroORM over PostgreSQL: entities for configuration, administration and every read. Each caller works on a
 * fork scoped to its organization; the three hot statements live in `sql/` on a pool of their own.
 */
import { type EntityManager, MikroORM } from "@mikro-orm/postgresql";
import type { Pool } from "pg";
import { endWithCalls } from "./end-with-calls.ts";
import { ApiKey } from "./entities/api-key.ts";
import { BulkJob } from "./entities/bulk-job.ts";
import { Delivery, DeliveryAttempt } from "./entities/delivery.ts";
import { Event } from "./entities/event.ts";
import { Lane } from "./entities/lane.ts";
import { Organization } from "./entities/organization.ts";
import { ReceiveTrace } from "./entities/receive-trace.ts";
import { Webhook, WebhookCounters, WebhookSecret } from "./entities/webhook.ts";
import type { StoreConnection } from "./pool.ts";
import { poolOptions } from "./pool.ts";

export type Orm = MikroORM;

/** Connects lazily: the first query opens the first connection, of a pool that `onPool` is told. */
export async function createOrm(connection: StoreConnection, onPool: (pool: Pool) => void = () => {}): Promise<Orm> {
  return await MikroORM.init({
    entities: [
      Organization,
      ApiKey,
      Webhook,
      WebhookSecret,
      WebhookCounters,
      Event,
      Delivery,
      DeliveryAttempt,
      ReceiveTrace,
      Lane,
      BulkJob,
    ],
    dbName: "alumia",
    driverOptions: {
      ...poolOptions(connection, "orm"),
      onPoolCreated: (pool: Pool) => {
        endWithCalls(pool, connection.connectTimeoutMs);
        onPool(pool);
      },
    },
    autoJoinRefsForFilters: false,
    allowGlobalContext: false,
    ensureDatabase: false,
    debug: false,
  });
}

/** A fork of the entity manager that sees one organization only. */
export function organizationScope(orm: Orm, organizationId: string): EntityManager {
  const em = orm.em.fork();
  em.setFilterParams("org", { organizationId });
  return em;
}
