/** Work behind the scenes put together: the maintenance of the store, and the telling of operational events. */
import type { Pool } from "pg";
import { type Config, LIMITS, type Limits, partitionPlan } from "./config.ts";
import { noteDatabaseTime } from "./core/ids.ts";
import { NoticeTeller } from "./core/notice-teller.ts";
import type { ReceivingWebhook } from "./core/receiving-webhook.ts";
import type { WebhookLoader } from "./core/webhook-loader.ts";
import type { Logger } from "./observe/logger.ts";
import { Maintenance } from "./store/maintenance.ts";

export interface UpkeepOptions {
  readonly config: Config;
  readonly limits: Limits;
  readonly logger: Logger;
  readonly pool: Pool;
  readonly loader: WebhookLoader<ReceivingWebhook>;
  /** Tells the delivery loop that something may be due. */
  readonly wake: () => void;
}

export interface Upkeep {
  readonly maintenance: Maintenance;
  readonly teller: NoticeTeller;
  start(): void;
  /** Ends the steps under way. May be called twice. */
  stop(): Promise<void>;
}

export function createUpkeep({ config, limits, logger, pool, loader, wake }: UpkeepOptions): Upkeep {
  const { deliveryLeaseMs: leaseMs, dedupeWindowSeconds } = config;
  const settings = { dedupeWindowSeconds, leaseMs };
  const teller = new NoticeTeller({ pool, logger, loader, settings, limits, onTold: wake });
  const maintenance = new Maintenance({
    pool,
    logger,
    limits: LIMITS,
    retentionDays: config.retentionDays,
    partitions: partitionPlan(config),
    leaseMs,
    stopAfterMs: config.forwardingStopAfterMs,
    onRelease: wake,
    onNotice: () => teller.wake(),
    onDatabaseTime: noteDatabaseTime,
  });
  return {
    maintenance,
    teller,
    start: () => {
      maintenance.start();
      teller.start();
    },
    stop: async () => {
      await Promise.all([maintenance.stop(), teller.stop()]);
    },
  };
}
