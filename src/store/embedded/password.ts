/** The password of the private server: made once, kept beside the data in a file that only the service reads. */
import { randomBytes } from "node:crypto";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { createDurably, readIfPresent } from "./durable-file.ts";
import { EmbeddedPostgresError } from "./embedded-error.ts";

/** Random bytes of a password: enough that SCRAM's iterations have nothing to slow down. */
const PASSWORD_BYTES = 32;

/**
 * Reads the password, or makes it while there is no database yet that another one protects.
 * @throws EmbeddedPostgresError when a database exists without it.
 */
export async function openPassword(dataDir: string, databaseExists: boolean): Promise<string> {
  const path = join(dataDir, "postgres-password");
  const present = (await readIfPresent(path))?.trim();
  if (present !== undefined) {
    if (!/^[\w-]{16,}$/.test(present)) throw new EmbeddedPostgresError(`${path} does not hold a password: restore it`);
    if (process.platform !== "win32") await chmod(path, 0o600);
    return present;
  }
  if (databaseExists) throw new EmbeddedPostgresError(`${path} is missing, and the database needs it: restore it`);
  const password = randomBytes(PASSWORD_BYTES).toString("base64url");
  return (await createDurably(path, `${password}\n`)) ? password : await openPassword(dataDir, false);
}
