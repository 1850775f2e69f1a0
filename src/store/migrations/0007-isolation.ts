/** How a webhook's deliveries are made; null: as the server's settings say. */
import { Migration } from "@mikro-orm/migrations";

const STATEMENTS = ["alter table webhooks add column delivery jsonb"];

export class Isolation extends Migration {
  override name = "0007-isolation";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
