/** Windows in which a secret that a provider sends is taken, and what was taken: one of each webhook, until it expires. */
import { Migration } from "@mikro-orm/migrations";

const CAPTURES = `
create table secret_captures (
  webhook_id uuid primary key references webhooks (id) on delete cascade,
  organization_id uuid not null,
  opened_at timestamptz not null,
  expires_at timestamptz not null,
  sealed bytea,
  captured_at timestamptz,
  remote_address text
)`;

export class SecretCaptures extends Migration {
  override name = "0006-secret-captures";

  override up(): void {
    this.addSql(CAPTURES);
  }
}
