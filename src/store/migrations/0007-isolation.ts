/**
 * Destinations that must not have what they could take at once. `webhooks.delivery` is how a webhook's deliveries are
 * made; null: as the server's settings say. A lane is where the due deliveries of one destination wait (`laned`) that
 * is limited, in order, slow, or whose circuit is open; it lasts while any wait or its state says more than nothing.
 * `paid_until` is the state of its token bucket: the time at which the attempts that were begun are paid for.
 *
 * Whatever is due and in no lane is found by one of two indexes, so that late retries and first tries take turns. A
 * delivery that just succeeds is in none of the others.
 */
import { Migration } from "@mikro-orm/migrations";

/** Whose turn it is in a lane: retries by hand, first tries, later ones, and those that are in order. */
const TURN = "(case when manual then 0 when order_key is not null then 3 when step = 0 then 1 else 2 end)";

const STATEMENTS = [
  "alter table webhooks add column delivery jsonb",
  `alter table delivery_queue add column laned boolean not null default false, add column order_key bytea,
    add column ordered_at timestamptz`,
  "drop index delivery_queue_due",
  `create index delivery_queue_due on delivery_queue (due_at)
    where not held and not (laned and started_at is null) and not (step > 0 and started_at is null)`,
  `create index delivery_queue_late on delivery_queue (due_at)
    where not held and not laned and step > 0 and started_at is null`,
  `create index delivery_queue_lane on delivery_queue (destination_id, ${TURN}, due_at)
    where laned and started_at is null`,
  "create index delivery_queue_running on delivery_queue (destination_id) where laned and started_at is not null",
  `create index delivery_queue_order on delivery_queue (destination_id, order_key, ordered_at, delivery_id)
    where order_key is not null`,
  `create table lanes (
    destination_id uuid primary key,
    organization_id uuid not null,
    next_at timestamptz not null,
    paid_until timestamptz,
    order_cursor bytea,
    circuit text check (circuit in ('open', 'half_open')),
    circuit_until timestamptz,
    opened_at timestamptz,
    openings integer not null default 0
  ) with (fillfactor = 50)`,
  "create index on lanes (organization_id, next_at)",
  "create index on lanes (next_at)",
];

export class Isolation extends Migration {
  override name = "0007-isolation";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
