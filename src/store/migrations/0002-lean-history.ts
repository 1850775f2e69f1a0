/**
 * Less to write for each delivered event. Indexes ascend, so that inserts in order of time fill their pages instead of
 * splitting them in half. What every completion changes is in no index, and a page of deliveries keeps room for the new
 * versions of its rows, so that they need no new index entries. The attempt that succeeds is part of it. An event is
 * found by its organization and id, which is how everybody asks. JSON bodies are compressed, however small.
 */
import { Migration } from "@mikro-orm/migrations";
import { HISTORY } from "../partitions.ts";

const STATEMENTS = [
  "drop index events_webhook_id_id_idx, events_organization_id_id_idx",
  "alter table events drop constraint events_pkey",
  "alter table events add primary key (organization_id, id)",
  "create index on events (webhook_id, id)",
  // Where a wrong clock may leave many rows, which are found by their age alone.
  "create index on events_default (id)",
  // Text as it came: nothing asks for a part of it.
  "alter table events alter column headers type json using headers::json",
  // PostgreSQL compresses only rows of more than 2 KB. The filler, blanks that come to nothing, makes smaller ones count
  // as such. Kept in line, whatever is compressed: only what is larger than a page leaves it.
  "alter table events add column filler text",
  ...["type", "source_event_id", "status", "scheme", "content_type", "headers", "body", "filler"].map(
    (column) => `alter table events alter column ${column} set storage main`,
  ),

  "drop index deliveries_webhook_id_id_idx, deliveries_webhook_id_id_idx1",
  // True from the first trouble on, and false throughout for a delivery that just succeeds.
  `alter table deliveries add column troubled boolean not null
    generated always as (status in ('failed', 'paused', 'canceled')) stored`,
  "create index on deliveries (webhook_id, id)",
  "create index on deliveries (webhook_id, id) where troubled",
  ...HISTORY.map(
    ({ table, storage }) => `do $$ declare partition regclass; begin
      for partition in select inhrelid from pg_inherits where inhparent = '${table}'::regclass loop
        execute format('alter table %s set (${storage})', partition);
      end loop;
    end $$`,
  ),

  // The attempt that succeeded stands with its delivery; those that did not have rows of their own.
  `alter table deliveries add column started_at timestamptz, add column duration_ms integer,
    add column trigger text, add column status_code integer, add column sender_version text,
    add column response_headers json, add column response_body bytea, add column response_truncated boolean,
    add column remote_address text`,

  // The sender's part of the request headers follows from the event; what does not is the version that made them.
  "alter table delivery_attempts add column sender_version text, drop column request_headers",
  "alter table delivery_attempts alter column response_headers type json using response_headers::json",

  `create view attempts as
    select delivery_id, number, organization_id, webhook_id, trigger, status, url, started_at, duration_ms, status_code,
      error_code, error_message, sender_version, response_headers, response_body, response_truncated, remote_address,
      next_attempt_at
    from delivery_attempts
    union all
    select id, attempt_count, organization_id, webhook_id, trigger, 'succeeded', url, started_at, duration_ms,
      status_code, null, null, sender_version, response_headers, response_body, response_truncated, remote_address, null
    from deliveries where started_at is not null`,

  // A delivery that is handed over at its commit never needs to be found by its destination.
  "drop index delivery_queue_destination_id_due_at_idx",
  "create index on delivery_queue (destination_id, due_at) where started_at is null",
];

export class LeanHistory extends Migration {
  override name = "0002-lean-history";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
