/** Lists of what waits go through it webhook by webhook. */
import { Migration } from "@mikro-orm/migrations";

const STATEMENTS = [
  "drop index delivery_queue_organization_id_delivery_id_idx",
  "create index on delivery_queue (webhook_id, delivery_id) where started_at is null",
];

export class WaitingByWebhook extends Migration {
  override name = "0011-waiting-by-webhook";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
