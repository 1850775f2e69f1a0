/** PostgreSQL's data directory: made once, whole or not at all. */
import { randomBytes } from "node:crypto";
import { open, readdir, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Binaries } from "./binaries.ts";
import { readIfPresent, syncDirectory } from "./durable-file.ts";
import { codeOf, EmbeddedPostgresError } from "./embedded-error.ts";
import type { Placement } from "./placement.ts";
import { runToEnd } from "./server-process.ts";

/** Longest initdb and longest removal of what one left, milliseconds. */
const INITDB_MS_MAX = 120_000;
/** Start of the names of clusters that are not finished. */
const DRAFT = "draft-";

/** Whether the data directory is there. */
export async function clusterExists(placement: Placement): Promise<boolean> {
  return (await readIfPresent(join(placement.cluster, "PG_VERSION"))) !== undefined;
}

/**
 * Makes the data directory unless it is there: initdb works in a draft that is renamed when it is complete and on
 * disk, so a start that is killed leaves nothing that looks like a database. Call it under the start lock.
 *
 * @throws EmbeddedPostgresError when initdb fails, or the data belongs to another major version.
 */
export async function ensureCluster(placement: Placement, binaries: Binaries, user: string, password: string) {
  await removeDrafts(placement);
  const version = (await readIfPresent(join(placement.cluster, "PG_VERSION")))?.trim();
  if (version === undefined) return await makeCluster(placement, binaries, user, password);
  if (version !== binaries.majorVersion) {
    throw new EmbeddedPostgresError(
      `${placement.cluster} was made by PostgreSQL ${version}; this is ${binaries.majorVersion}: move the data by dump`,
    );
  }
}

async function makeCluster(placement: Placement, binaries: Binaries, user: string, password: string): Promise<void> {
  const draft = join(placement.home, `${DRAFT}${randomBytes(6).toString("hex")}`);
  const passwordFile = `${draft}.password`;
  await writeFor(placement, passwordFile, `${password}\n`);
  try {
    const args = ["-D", draft, "-U", user, "--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8"];
    const locale = ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"];
    await runToEnd(binaries.initdb, [...args, ...locale, "--no-instructions"], placement.user, INITDB_MS_MAX);
  } finally {
    await unlink(passwordFile);
  }
  try {
    await rename(draft, placement.cluster);
  } catch (error) {
    const taken = ["ENOTEMPTY", "EEXIST", "EPERM"].includes(codeOf(error));
    if (!taken || !(await clusterExists(placement))) {
      throw new EmbeddedPostgresError(`${placement.cluster} is in the way and is no database`, error);
    }
    await removeDrafts(placement);
  }
  await syncDirectory(placement.home);
}

/** A new file that the server's user can read; O_EXCL, so never through a link that this user planted. */
async function writeFor(placement: Placement, path: string, content: string): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    if (placement.user) await handle.chown(placement.user.uid, placement.user.gid);
    await handle.writeFile(content);
  } finally {
    await handle.close();
  }
}

/**
 * Removes what killed starts left; as the server's user, so that no planted link leads root astray. What an orphaned
 * initdb is still writing to may resist: a later start removes it.
 */
async function removeDrafts(placement: Placement): Promise<void> {
  const names = (await readdir(placement.home)).filter((name) => name.startsWith(DRAFT));
  const paths = names.map((name) => join(placement.home, name));
  if (paths.length === 0) return;
  const removal = placement.user
    ? runToEnd("rm", ["-rf", "--", ...paths], placement.user, INITDB_MS_MAX)
    : Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })));
  await removal.catch(() => {});
}
