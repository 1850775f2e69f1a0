/**
 * The first schema (DESIGN §8). Foreign keys stand on configuration tables only; ids are made by the app; rows of
 * a tenant carry organization_id. events, deliveries and delivery_attempts are range-partitioned by UUIDv7 (so by
 * time), each with a default partition so that a wrong clock cannot stop an insert; daily ones are made by
 * `partitions.ts`.
 */
import { Migration } from "@mikro-orm/migrations";

const CONFIGURATION = `
create table organizations (
  id uuid primary key,
  name text not null,
  created_at timestamptz not null default now()
);

create table api_keys (
  id uuid primary key,
  organization_id uuid not null references organizations (id),
  name text not null,
  prefix text not null,
  hash bytea not null unique,
  created_at timestamptz not null,
  last_used_at timestamptz,
  expires_at timestamptz,
  revoked_at timestamptz
);
create index on api_keys (organization_id, created_at desc, id desc);

create table webhooks (
  id uuid primary key,
  organization_id uuid not null references organizations (id),
  name text not null,
  url text,
  source text not null,
  description text,
  events text[] not null,
  status text not null check (status in ('active', 'paused', 'disabled')),
  forwarding_reason text,
  forwarding_stopped_at timestamptz,
  version bigint not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index on webhooks (organization_id, created_at desc, id desc);

create table webhook_secrets (
  id uuid primary key,
  organization_id uuid not null references organizations (id),
  webhook_id uuid not null references webhooks (id) on delete cascade,
  purpose text not null check (purpose in ('receive', 'forward')),
  sealed bytea not null,
  hash bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz
);
create index on webhook_secrets (webhook_id);

create table webhook_counters (
  webhook_id uuid primary key references webhooks (id) on delete cascade,
  organization_id uuid not null,
  delivery_count bigint not null default 0,
  last_delivery_at timestamptz
) with (fillfactor = 50);

create table releases (
  webhook_id uuid primary key references webhooks (id) on delete cascade,
  organization_id uuid not null
);

create table purges (
  webhook_id uuid primary key,
  organization_id uuid not null,
  deleted_at timestamptz not null,
  due_at timestamptz not null
);
`;

const HISTORY = `
create table events (
  id uuid primary key,
  organization_id uuid not null,
  webhook_id uuid not null,
  type text,
  source_event_id text,
  source_event_id_reused boolean not null,
  status text not null,
  verified boolean not null,
  scheme text not null,
  synthetic boolean not null,
  content_type text,
  size integer not null,
  received_at timestamptz not null,
  headers jsonb not null,
  body bytea not null
) partition by range (id);
create index on events (webhook_id, id desc);
create index on events (organization_id, id desc);
create table events_default partition of events default;

create table event_dedupe (
  webhook_id uuid not null,
  key bytea not null,
  organization_id uuid not null,
  event_id uuid not null,
  body_hash bytea,
  expires_at timestamptz not null,
  primary key (webhook_id, key)
);
create index on event_dedupe using brin (expires_at);

create table deliveries (
  id uuid primary key,
  organization_id uuid not null,
  webhook_id uuid not null,
  destination_id uuid not null,
  event_id uuid not null,
  event_type text,
  url text not null,
  status text not null,
  attempt_count integer not null default 0,
  next_attempt_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  completed_at timestamptz
) partition by range (id);
create index on deliveries (webhook_id, id desc);
create index on deliveries (webhook_id, id desc) where status in ('failed', 'paused', 'canceled');
create table deliveries_default partition of deliveries default;

create table delivery_attempts (
  delivery_id uuid not null,
  number integer not null,
  organization_id uuid not null,
  webhook_id uuid not null,
  trigger text not null,
  status text not null,
  url text,
  started_at timestamptz not null,
  duration_ms integer not null,
  status_code integer,
  error_code text,
  error_message text,
  request_headers jsonb,
  response_headers jsonb,
  response_body bytea,
  response_truncated boolean not null default false,
  remote_address text,
  next_attempt_at timestamptz,
  primary key (delivery_id, number)
) partition by range (delivery_id);
create table delivery_attempts_default partition of delivery_attempts default;
`;

/**
 * What is still owed. `due_at` of a leased row is the end of its lease, so that one index finds both what is due
 * and what a dead worker left. `attempts` numbers the attempts that have been started; `step` counts those that the
 * schedule started. `started_at` is set while an attempt is under way. A manual try keeps the time at which the
 * schedule goes on in `resume_at`.
 */
const QUEUE = `
create table delivery_queue (
  delivery_id uuid primary key,
  organization_id uuid not null,
  webhook_id uuid not null,
  destination_id uuid not null,
  event_id uuid not null,
  due_at timestamptz not null,
  attempts integer not null default 0,
  step integer not null default 0,
  manual boolean not null default false,
  resume_at timestamptz,
  held boolean not null default false,
  started_at timestamptz,
  lease_token uuid
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index delivery_queue_due on delivery_queue (due_at) where not held;
create index on delivery_queue (destination_id, due_at);
`;

export class Initial extends Migration {
  override name = "0001-initial";

  override up(): void {
    for (const statement of `${CONFIGURATION}${HISTORY}${QUEUE}`.split(";\n")) {
      if (statement.trim() !== "") this.addSql(statement);
    }
  }
}
