/**
 * What an attempt's record tells beyond its outcome, and the credentials that destinations ask for. Times stand in
 * columns of their own: null costs nothing, and most attempts reuse a connection. `trigger` of a queue row is why its
 * next attempt is made, null for the schedule. `credential_headers` names what was sent of the webhook's own headers
 * and credentials; their values stand sealed in webhook_secrets, one row for each purpose.
 */
import { Migration } from "@mikro-orm/migrations";

const COLUMNS = `add column dns_ms integer, add column connect_ms integer, add column tls_ms integer,
  add column first_byte_ms integer, add column credential_headers text[]`;

const STATEMENTS = [
  `alter table delivery_attempts ${COLUMNS}`,
  `alter table deliveries ${COLUMNS}`,
  "drop view attempts",
  `create view attempts as
    select delivery_id, number, organization_id, webhook_id, trigger, status, url, started_at, duration_ms, dns_ms,
      connect_ms, tls_ms, first_byte_ms, status_code, error_code, error_message, sender_version, credential_headers,
      response_headers, response_body, response_truncated, remote_address, next_attempt_at
    from delivery_attempts
    union all
    select id, attempt_count, organization_id, webhook_id, trigger, 'succeeded', url, started_at, duration_ms, dns_ms,
      connect_ms, tls_ms, first_byte_ms, status_code, null, null, sender_version, credential_headers, response_headers,
      response_body, response_truncated, remote_address, null
    from deliveries where started_at is not null`,
  "alter table delivery_queue add column trigger text",
  "alter table webhook_secrets drop constraint webhook_secrets_purpose_check",
  `alter table webhook_secrets add constraint webhook_secrets_purpose_check
    check (purpose in ('receive', 'forward', 'ed25519', 'headers', 'auth', 'certificate'))`,
];

export class AttemptsAndCredentials extends Migration {
  override name = "0005-attempts-and-credentials";

  override up(): void {
    for (const statement of STATEMENTS) this.addSql(statement);
  }
}
