/** Webhooks of the source that has one URL for all of them. */
import type { Pool } from "pg";

/** A webhook and the version that it has now. */
export interface VersionedWebhook {
  readonly id: string;
  readonly version: string;
}

/** The index of migration 0003 leads to those of one organization, whatever it has besides. */
const LINEAR = `
select w.id, w.version::text as version from organizations o
cross join lateral (
  select id, version, row_number() over (order by id) as place from webhooks
  where organization_id = o.id and source = 'linear' order by id limit $1
) w
order by w.place, w.id limit $2`;

/**
 * The oldest webhooks of source linear of each organization, up to `perOrganization`, and `total` of all. Tenant-free:
 * the caller is the receive path.
 */
export async function listLinearWebhooks(
  pool: Pool,
  { perOrganization, total }: { perOrganization: number; total: number },
): Promise<VersionedWebhook[]> {
  const { rows } = await pool.query<VersionedWebhook>({
    name: "list-linear-webhooks",
    text: LINEAR,
    values: [perOrganization, total],
  });
  return rows;
}
