/** The first organization and its API key, and organizations made from the command line. */
import type { Pool } from "pg";
import { transaction } from "../store/transaction.ts";
import type { ApiKeys } from "./api-keys.ts";
import { generateApiKey } from "./api-keys.ts";
import { newId } from "./ids.ts";

/** Advisory lock key: replicas that start at once make one organization. */
const BOOTSTRAP_LOCK = 0x616c756d6962;

export interface Bootstrap {
  readonly pool: Pool;
  readonly apiKeys: ApiKeys;
  readonly production: boolean;
  /** The key to use instead of a generated one. */
  readonly key: string | undefined;
  /** Whether a key may be generated. */
  readonly generate: boolean;
  /** Called with a generated key before it comes into force, so that it cannot be lost. */
  readonly keep: ((key: string) => Promise<void>) | undefined;
}

/** The plaintext of the key, if this call made it; `keyless` if there is none still. */
export interface Bootstrapped {
  readonly key: string | undefined;
  readonly keyless: boolean;
}

/** Makes the organization "default" with one key if no API key exists at all. */
export async function bootstrap(options: Bootstrap): Promise<Bootstrapped> {
  const { pool, apiKeys, production, key, generate, keep } = options;
  return await transaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock($1)", [BOOTSTRAP_LOCK]);
    const { rowCount } = await client.query("select 1 from api_keys limit 1");
    if (rowCount !== 0) return { key: undefined, keyless: false };
    if (key === undefined && !generate) return { key: undefined, keyless: true };
    const organizationId = await ensureOrganization(pool, "default");
    const text = key ?? generateApiKey(production);
    await keep?.(text);
    await apiKeys.store(organizationId, "bootstrap", text, null);
    return { key: text, keyless: false };
  });
}

/** The id of the organization of that name, made if there is none. */
export async function ensureOrganization(pool: Pool, name: string): Promise<string> {
  return await transaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock($1)", [BOOTSTRAP_LOCK + 1]);
    const { rows } = await client.query<{ id: string }>("select id from organizations where name = $1 limit 1", [name]);
    if (rows[0]) return rows[0].id;
    const id = newId();
    await client.query("insert into organizations (id, name) values ($1, $2)", [id, name]);
    return id;
  });
}
