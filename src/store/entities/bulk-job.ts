import { defineEntity, p } from "@mikro-orm/core";
import type { DeliveryFilter } from "../sql/delivery-scan.ts";
import { organizationFilter } from "./organization-filter.ts";

export type BulkAction = "retry" | "replay" | "cancel";

export type BulkJobState = "running" | "paused" | "done" | "canceled";

const BulkJobSchema = defineEntity({
  name: "BulkJob",
  tableName: "bulk_jobs",
  filters: organizationFilter,
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    action: p.text().$type<BulkAction>(),
    filter: p.json<DeliveryFilter>(),
    state: p.text().$type<BulkJobState>(),
    ratePerSecond: p.integer(),
    /** Deliveries that matched when the job was made. */
    matched: p.integer(),
    /** Those that were retried, replayed or canceled. */
    done: p.integer(),
    /** Those that were left as they are, by reason. */
    skipped: p.json<Readonly<Record<string, number>>>(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    finishedAt: p.datetime().nullable(),
  },
});

/** Retries, replays or cancels what a filter matched when it was made. */
export class BulkJob extends BulkJobSchema.class {}
BulkJobSchema.setClass(BulkJob);
