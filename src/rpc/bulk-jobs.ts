import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  BulkFilter,
  BulkJobService,
  CreateBulkJobRequest,
} from "../../gen/alumia/webhooks/v1/bulk_job_service_pb.ts";
import type { BulkJobs, BulkRequest, DryRun } from "../core/bulk-jobs.ts";
import type { DeliveryQuery } from "../core/deliveries.ts";
import type { BulkAction, BulkJob } from "../store/entities/bulk-job.ts";
import { uuidTimeMs } from "../store/partitions.ts";
import type { DeliveryFilter } from "../store/sql/delivery-scan.ts";
import { callerOf } from "./context.ts";
import { some, time } from "./messages.ts";
import { pageFields, pageRequest, timeRange } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;
/** Deliveries a second where no rate is asked for. */
const RATE_DEFAULT = 100;

export function bulkJobService(jobs: BulkJobs): ServiceImpl<typeof BulkJobService> {
  return {
    async createBulkJob(request, context) {
      const [caller, asked] = [callerOf(context), bulkRequest(request)];
      if (request.dryRun) return { job: dryRunMessage(await jobs.dryRun(caller, asked)) };
      return { job: jobMessage(await jobs.create(caller, asked)) };
    },
    async listBulkJobs(request, context) {
      const asked = { ...pageRequest(request, LIMIT_DEFAULT), state: request.state };
      const page = await jobs.list(callerOf(context), asked);
      return { items: page.items.map(jobMessage), ...pageFields(page) };
    },
    async getBulkJob({ id }, context) {
      return { job: jobMessage(await jobs.get(callerOf(context), id)) };
    },
    async pauseBulkJob({ id }, context) {
      return { job: jobMessage(await jobs.change(callerOf(context), id, "pause")) };
    },
    async resumeBulkJob({ id, ratePerSecond }, context) {
      return { job: jobMessage(await jobs.change(callerOf(context), id, "resume", ratePerSecond)) };
    },
    async cancelBulkJob({ id }, context) {
      return { job: jobMessage(await jobs.change(callerOf(context), id, "cancel")) };
    },
  };
}

function bulkRequest({ action, filter, ratePerSecond }: CreateBulkJobRequest): BulkRequest {
  return {
    action: action as BulkAction,
    query: queryOf(filter),
    ratePerSecond: ratePerSecond ?? RATE_DEFAULT,
  };
}

function queryOf(filter: BulkFilter | undefined): DeliveryQuery {
  const { webhookId, status = [], type, errorCode, eventId } = filter ?? {};
  return { webhookId, statuses: status, type, errorCode, eventId, ...timeRange(filter ?? {}) };
}

function filterMessage(filter: DeliveryFilter) {
  const timeOf = (id: string | null) => (id === null ? undefined : timestampFromMs(uuidTimeMs(id)));
  return {
    ...some("webhookId", filter.webhookId),
    status: [...filter.statuses],
    ...some("type", filter.type),
    ...some("errorCode", filter.errorCode),
    ...some("since", timeOf(filter.from)),
    ...some("until", timeOf(filter.before)),
    ...some("eventId", filter.eventId),
  };
}

function jobMessage(job: BulkJob) {
  return {
    id: job.id,
    action: job.action,
    filter: filterMessage(job.filter),
    state: job.state,
    ratePerSecond: job.ratePerSecond,
    matched: job.matched,
    done: job.done,
    skipped: Object.values(job.skipped).reduce((sum, count) => sum + count, 0),
    skipReasons: job.skipped,
    createdAt: timestampFromDate(job.createdAt),
    updatedAt: timestampFromDate(job.updatedAt),
    ...time("finishedAt", job.finishedAt),
  };
}

function dryRunMessage({ action, filter, ratePerSecond, matched }: DryRun) {
  return { action, filter: filterMessage(filter), state: "dry_run", ratePerSecond, matched };
}
