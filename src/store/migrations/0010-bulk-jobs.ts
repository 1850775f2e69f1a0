/**
 * Jobs that retry, replay or cancel what a filter matched when they were made. What matched is written down with the job,
 * in chunks of ids that ascend from one to the next; `position` is how many of them have been dealt with.
 */
import { Migration } from "@mikro-orm/migrations";

const STATEMENTS = [
  `create table bulk_jobs (
    id uuid primary key,
    organization_id uuid not null,
    action text not null check (action in ('retry', 'replay', 'cancel')),
    filter jsonb not null,
    state text not null check (state in ('running', 'paused', 'done', 'canceled')),
    rate_per_second integer not null,
    matched integer not null,
    position integer not null default 0,
    done integer not null default 0,
    skipped jsonb not null default '{}',
    next_at timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    finished_at timestamptz
  ) with (fillfactor = 50)`,
  "create index on bulk_jobs (organization_id, id)",
  "create index on bulk_jobs (next_at) where state = 'running'",
  "create index on bulk_jobs (finished_at) where finished_at is not null",
  `create table bulk_job_chunks (
    job_id uuid not null references bulk_jobs (id) on delete cascade,
    number integer not null,
    ids uuid[] not null,
    primary key (job_id, number)
  )`,
];

export class BulkJobs extends Migration {
  override name = "0010-bulk-jobs";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
