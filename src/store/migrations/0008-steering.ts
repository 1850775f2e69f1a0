/**
 * What bears the filters of lists, and costs nothing for a delivery that is handed over and succeeds at once: such are
 * in none of these indexes. What is owed is found by its queue row. `replay` marks deliveries that were made long after
 * their event; the first ones have ids that follow the event's at once, and are found by these.
 */
import { Migration } from "@mikro-orm/migrations";

const STATEMENTS = [
  "create index on deliveries (organization_id, id) where troubled",
  "alter table deliveries add column replay boolean",
  // Ids begin with 48 bits of milliseconds.
  `update deliveries set replay = true
    where left(replace(id::text, '-', ''), 12) <> left(replace(event_id::text, '-', ''), 12)`,
  "create index on deliveries (event_id) where replay",
  "create index on delivery_queue (organization_id, delivery_id) where started_at is null",
];

export class Steering extends Migration {
  override name = "0008-steering";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
