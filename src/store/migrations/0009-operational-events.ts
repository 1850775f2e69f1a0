/**
 * What the organization is told about its own deliveries. A notice is written with the change that it tells of, and goes
 * when it has become events. `notice_floods` counts what was told of one webhook in one way since `until` minus a
 * minute, and what more there was. Webhooks whose source had that name before were like `custom` ones, and become such.
 *
 * `failing_since` and `failing_until` are when the first and the last of the attempts ended that have all failed. They
 * stand with the counters, which every batch of attempts writes anyway; the index holds only the webhooks in trouble.
 */
import { Migration } from "@mikro-orm/migrations";

const STATEMENTS = [
  "update webhooks set source = 'custom' where replace(lower(source), '-', '') = 'system'",
  "create index on webhooks (organization_id) where source = 'system'",
  `create table notices (
    id uuid primary key,
    organization_id uuid not null,
    webhook_id uuid,
    type text not null,
    data jsonb not null,
    raised_at timestamptz not null default clock_timestamp()
  )`,
  "create index on notices (organization_id, raised_at)",
  `create table notice_floods (
    organization_id uuid not null,
    webhook_id uuid not null,
    type text not null,
    until timestamptz not null,
    told integer not null,
    further bigint not null,
    further_since timestamptz,
    further_until timestamptz,
    primary key (organization_id, webhook_id, type)
  )`,
  "alter table webhook_counters add column failing_since timestamptz, add column failing_until timestamptz",
  "create index on webhook_counters (failing_since) where failing_since is not null",
];

export class OperationalEvents extends Migration {
  override name = "0009-operational-events";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
