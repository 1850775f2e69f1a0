/** `keys create`: mints an API key from the command line, for whoever has the database. */
import { systemClock } from "../clock.ts";
import { LIMITS, loadConfig } from "../config.ts";
import { ApiKeys } from "../core/api-keys.ts";
import { ensureOrganization } from "../core/bootstrap.ts";
import { readOptions, UsageError } from "./usage.ts";
import { withStore } from "./with-store.ts";

const USAGE = "usage: npm run keys -- create --org NAME --name NAME";

export async function keys(args: string[]): Promise<void> {
  const [action, ...rest] = args;
  if (action !== "create") throw new UsageError(USAGE);
  const { org, name } = readOptions(rest, { org: "text", name: "text" });
  if (typeof org !== "string" || typeof name !== "string" || !org.trim() || !name.trim()) throw new UsageError(USAGE);
  if (name.length > 120 || org.length > 120) throw new UsageError("--org and --name take at most 120 characters");
  const config = loadConfig(process.env);
  await withStore(config, async ({ pool, orm }) => {
    const apiKeys = new ApiKeys({
      orm,
      pool,
      lookups: pool,
      clock: systemClock,
      production: config.production,
      limits: LIMITS,
    });
    const { key } = await apiKeys.create(await ensureOrganization(pool, org.trim()), name.trim(), null);
    process.stdout.write(`${key}\n`);
  });
}
