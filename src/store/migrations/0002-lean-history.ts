/**
 * Less to write for each delivered event. Indexes ascend, so that inserts in order of time fill their pages instead of
 * splitting them in half. What every completion changes is in no index, and a page of deliveries keeps room for
 * the new versions of its rows, so that they need no new index entries. An event is found by its organization and id,
 * which is how everybody asks.
 */
import { Migration } from "@mikro-orm/migrations";

const STATEMENTS = [
  "drop index events_webhook_id_id_idx, events_organization_id_id_idx",
  "alter table events drop constraint events_pkey",
  "alter table events add primary key (organization_id, id)",
  "create index on events (webhook_id, id)",

  "drop index deliveries_webhook_id_id_idx, deliveries_webhook_id_id_idx1",
  // True from the first trouble on, and false throughout for a delivery that just succeeds.
  `alter table deliveries add column troubled boolean not null
    generated always as (status in ('failed', 'paused', 'canceled')) stored`,
  "create index on deliveries (webhook_id, id)",
  "create index on deliveries (webhook_id, id) where troubled",
  `do $$ declare partition regclass; begin
    for partition in select inhrelid from pg_inherits where inhparent = 'deliveries'::regclass loop
      execute format('alter table %s set (fillfactor = 50)', partition);
    end loop;
  end $$`,

  // The sender's part of the request headers follows from the event; what does not is the version that made them.
  "alter table delivery_attempts add column sender_version text",

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
