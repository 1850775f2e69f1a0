/** A webhook's own verification settings; null: requests are verified as the source's preset says. */
import { Migration } from "@mikro-orm/migrations";

export class Verification extends Migration {
  override name = "0004-verification";

  override up(): void {
    this.addSql("alter table webhooks add column verification jsonb");
  }
}
