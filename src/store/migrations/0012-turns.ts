/**
 * In a lane only a retry by hand goes before all else: those of a bulk job take their turns with others, and keep the
 * order where one is asked for.
 */
import { Migration } from "@mikro-orm/migrations";

/** Whose turn it is in a lane: retries by hand, first tries, later ones, and those that are in order. */
const TURN = `(case when manual and trigger = 'manual' then 0 when order_key is not null then 3 when step = 0 then 1
  else 2 end)`;

const STATEMENTS = [
  "drop index delivery_queue_lane",
  `create index delivery_queue_lane on delivery_queue (destination_id, ${TURN}, due_at)
    where laned and started_at is null`,
];

export class Turns extends Migration {
  override name = "0012-turns";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
