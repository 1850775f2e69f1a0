/** API keys by their hashes, and the note of their use. Tenant-free: this is how the tenant is found out. */
import type { Pool } from "pg";

export interface ApiKeyRecord {
  readonly id: string;
  readonly organizationId: string;
  /** Whether its last use was noted before the time that was asked about, or never. */
  readonly stale: boolean;
}

const FIND = `
select id, organization_id as "organizationId", encode(hash, 'hex') as hash,
  coalesce(last_used_at < to_timestamp($3 / 1000.0), true) as stale
from api_keys
where hash = any ($1::bytea[]) and revoked_at is null and (expires_at is null or expires_at > to_timestamp($2 / 1000.0))`;

/** The keys that are valid at `nowMs`, by SHA-256 in hex; stale are those that were last used before `staleMs`. */
export async function findApiKeys(
  pool: Pool,
  hashes: readonly string[],
  { nowMs, staleMs }: { nowMs: number; staleMs: number },
): Promise<Map<string, ApiKeyRecord>> {
  const { rows } = await pool.query<ApiKeyRecord & { hash: string }>({
    name: "find-api-keys",
    text: FIND,
    values: [hashes.map((hash) => Buffer.from(hash, "hex")), nowMs, staleMs],
  });
  return new Map(rows.map(({ hash, ...record }) => [hash, record]));
}

/** Notes that the keys were used. */
export async function touchApiKeys(pool: Pool, ids: readonly string[], nowMs: number): Promise<void> {
  const text = "update api_keys set last_used_at = to_timestamp($2 / 1000.0) where id = any ($1::uuid[])";
  await pool.query({ name: "touch-api-keys", text, values: [ids, nowMs] });
}
