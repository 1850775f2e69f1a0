/** What receiving needs besides events: traces of what did not become one, and ways to webhooks that no path names. */
import { Migration } from "@mikro-orm/migrations";

/**
 * Requests that were answered without becoming events, a bounded number of rows for each webhook (`sql/traces.ts`). No
 * foreign key: a write that strangers cause must not lock a webhook.
 */
const TRACES = `
create table receive_traces (
  id uuid primary key,
  organization_id uuid not null,
  webhook_id uuid not null,
  check_name text not null,
  client text not null,
  received_at timestamptz not null,
  status_code integer not null,
  reason text not null,
  method text not null,
  remote_address text not null,
  headers jsonb not null,
  body bytea,
  body_truncated boolean not null,
  size integer,
  further bigint not null
)`;

export class Receiving extends Migration {
  override name = "0003-receiving";

  override up(): void {
    this.addSql(TRACES);
    this.addSql("create index on receive_traces (webhook_id, id)");
    this.addSql("create index on webhooks (organization_id, id) where source = 'linear'");
  }
}
