/**
 * Where the server's files are.
 *
 * The data directory holds what the service itself reads (password, lock, log) and, in `postgres/`, the home of the
 * server: a 0700 directory of the user that runs it. A service started as root hands the home to an unprivileged
 * user; where that user cannot reach the data directory, the home is in the system directory under a name derived
 * from the data directory's real path, and `postgres-location` in the data directory says where.
 */
import { createHash } from "node:crypto";
import { chmod, lchown, lstat, mkdir, readFile, realpath } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { createDurably, readIfPresent, syncDirectory } from "./durable-file.ts";
import { codeOf, EmbeddedPostgresError, messageOf } from "./embedded-error.ts";
import { isGuardedDirectory, isPrivateDirectory, isReachable, makeDirectory } from "./ownership.ts";
import { chooseServerUser, parsePasswd, type ServerUser } from "./server-user.ts";

export interface Placement {
  /** Real path of the service's data directory. */
  readonly dataDir: string;
  /** The server's home: 0700, owned by the user that runs it; holds `cluster` and the socket. */
  readonly home: string;
  /** PostgreSQL's own data directory. */
  readonly cluster: string;
  /** The user to drop to; undefined when the service's own user runs the server. */
  readonly user: ServerUser | undefined;
  /** True when the home is outside the data directory. */
  readonly elsewhere: boolean;
}

/**
 * Finds the server's home, or makes it (empty) on the first start.
 *
 * @param systemDir where the homes go that cannot be inside their data directory.
 * @throws EmbeddedPostgresError when the files exist but cannot be used: nothing ever starts empty beside them.
 */
export async function placeServer(dataDir: string, systemDir: string): Promise<Placement> {
  const real = await openDataDirectory(dataDir);
  const pointer = await readPointer(real);
  const home = pointer ?? join(real, "postgres");
  if (process.platform === "win32") {
    await makeDirectory(home, 0o700);
    return placement(real, home, undefined, false);
  }
  const owner = await ownerOf(home);
  if (pointer !== undefined && owner === undefined) {
    throw new EmbeddedPostgresError(
      `${pointerPath(real)} names ${pointer}, which is gone: restore it, or remove that file to start empty`,
    );
  }
  if (process.getuid?.() !== 0) return await ownHome(real, home, pointer !== undefined);
  const user = chooseServerUser(parsePasswd(await readFile("/etc/passwd", "utf8")), owner);
  return await homeForUser(real, home, pointer !== undefined, user, systemDir);
}

async function ownHome(dataDir: string, home: string, elsewhere: boolean): Promise<Placement> {
  const uid = process.getuid?.() ?? -1;
  await makeDirectory(home, 0o700);
  if (!(await isPrivateDirectory(home, uid))) {
    const owner = (await lstat(home)).uid;
    throw new EmbeddedPostgresError(`${home} must be a 0700 directory of uid ${uid}; it is owned by uid ${owner}`);
  }
  return placement(dataDir, home, undefined, elsewhere);
}

async function homeForUser(dataDir: string, home: string, elsewhere: boolean, user: ServerUser, systemDir: string) {
  if (await isReachable(elsewhere ? join(home, "..") : dataDir, user)) {
    await givePrivateDirectory(home, user);
    return placement(dataDir, home, user, elsewhere);
  }
  if ((await ownerOf(join(home, "cluster"))) !== undefined) {
    throw new EmbeddedPostgresError(
      `${home} holds the database, but user ${user.name}, who runs it, cannot enter the directories above it`,
    );
  }
  const other = join(systemDir, createHash("sha256").update(dataDir).digest("hex").slice(0, 16));
  await openSystemDirectory(systemDir, user);
  await givePrivateDirectory(other, user);
  await createDurably(pointerPath(dataDir), `${other}\n`);
  return placement(dataDir, other, user, true);
}

function placement(dataDir: string, home: string, user: ServerUser | undefined, elsewhere: boolean): Placement {
  return { dataDir, home, cluster: join(home, "cluster"), user, elsewhere };
}

/** Makes the data directory where there is none; its real path. Others may pass through root's, not look inside. */
async function openDataDirectory(dataDir: string): Promise<string> {
  try {
    const made = await mkdir(dataDir, { recursive: true });
    const real = await realpath(dataDir);
    if (made !== undefined && process.platform !== "win32") await chmod(real, process.getuid?.() === 0 ? 0o711 : 0o700);
    return real;
  } catch (error) {
    throw new EmbeddedPostgresError(`DATA_DIR ${dataDir} cannot be used: ${messageOf(error)}`, error);
  }
}

/**
 * Makes the system directory where there is none and makes sure that root owns it, that nobody else can write to
 * it, and that the user can pass through it.
 */
export async function openSystemDirectory(systemDir: string, user: ServerUser): Promise<void> {
  if ((await mkdir(systemDir, { recursive: true })) !== undefined) await chmod(systemDir, 0o755);
  if (!(await isGuardedDirectory(systemDir, 0))) {
    throw new EmbeddedPostgresError(`${systemDir} must be a directory that only root can write to`);
  }
  if (!(await isReachable(await realpath(systemDir), user))) {
    throw new EmbeddedPostgresError(
      `user ${user.name} can enter neither DATA_DIR nor ${systemDir}: set DATA_DIR to a directory that it can enter`,
    );
  }
}

/** A 0700 directory of the user. What a start that was killed left as root's is handed over. */
async function givePrivateDirectory(path: string, user: ServerUser): Promise<void> {
  await makeDirectory(path, 0o700);
  const status = await lstat(path);
  if (status.isDirectory() && status.uid === 0) await lchown(path, user.uid, user.gid);
  if (!(await isPrivateDirectory(path, user.uid))) {
    throw new EmbeddedPostgresError(`${path} must be a 0700 directory of user ${user.name}`);
  }
  await syncDirectory(join(path, ".."));
}

function pointerPath(dataDir: string): string {
  return join(dataDir, "postgres-location");
}

async function readPointer(dataDir: string): Promise<string | undefined> {
  const text = (await readIfPresent(pointerPath(dataDir)))?.trim();
  if (text !== undefined && !isAbsolute(text)) {
    throw new EmbeddedPostgresError(`${pointerPath(dataDir)} must hold one absolute path`);
  }
  return text;
}

async function ownerOf(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).uid;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
