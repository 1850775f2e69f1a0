/** The private PostgreSQL for real: processes that are killed, directories that are closed, starts that collide. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { chmod, chown, lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { findBinaries } from "../../src/store/embedded/binaries.ts";
import { moveLoopbackEndpoint } from "../../src/store/embedded/endpoint.ts";
import { placeServer } from "../../src/store/embedded/placement.ts";
import { findPostmaster, launchPostmaster } from "../../src/store/embedded/postmaster.ts";
import { isClusterOpen } from "../../src/store/embedded/server-processes.ts";
import { withStartLock } from "../../src/store/embedded/start-lock.ts";
import {
  atCleanUp,
  cleanUp,
  copyDirectory,
  crash,
  endUser,
  isLinuxRoot,
  isRoot,
  isRunning,
  makeStartedDirectory,
  makeTestDirectory,
  query,
  removeSeed,
  spawnUser,
  start,
  statField,
  whenUsing,
} from "./embedded-support.ts";

afterEach(cleanUp);
afterAll(removeSeed);

async function countStarts(dataDir: string): Promise<number> {
  const log = await readFile(join(dataDir, "postgres.log"), "utf8");
  return log.split("starting PostgreSQL").length - 1;
}

describe("a server", () => {
  test("is durable, private, and keeps its data over a stop", async () => {
    const dataDir = await makeTestDirectory();
    const first = await start(dataDir);
    const settings = await query(
      first.connection,
      `select name || '=' || setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit',
       'listen_addresses', 'server_encoding', 'jit', 'TimeZone', 'wal_compression', 'data_checksums') order by 1`,
    );
    expect(settings).toEqual([
      "TimeZone=UTC",
      "data_checksums=on",
      "fsync=on",
      "full_page_writes=on",
      "jit=off",
      "listen_addresses=",
      "server_encoding=UTF8",
      "synchronous_commit=on",
      "wal_compression=pglz",
    ]);
    expect((await stat(first.connection.host)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dataDir, "postgres-password"))).mode & 0o777).toBe(0o600);
    await expect(query({ ...first.connection, password: "wrong" }, "select 1")).rejects.toMatchObject({
      code: "28P01",
    });
    const others = { ...first.connection, user: "postgres", database: "postgres" };
    await expect(query(others, "select 1")).rejects.toMatchObject({ code: "28P01" });

    await query(first.connection, "create table kept as select 42 as answer");
    await first.stop();
    await first.stop();
    await until(async () => !(await isRunning(first.pid)));
    await expect(first.ensureRunning()).rejects.toThrow(/given up/);

    const second = await start(dataDir);
    expect(second.connection).toEqual(first.connection);
    expect(await query(second.connection, "select answer from kept")).toEqual([42]);
    const log = await readFile(join(dataDir, "postgres.log"), "utf8");
    expect(log).not.toContain(first.connection.password);
    expect(log).not.toContain("create table kept");
    expect(await readdir(dataDir)).toEqual(["postgres", "postgres-password", "postgres.log"]);
  });

  test("comes back by itself when it is killed, with everything that was committed", async () => {
    const server = await start(await makeStartedDirectory());
    await query(server.connection, "create table kept as select 42 as answer");
    const { connection, pid } = server;
    const back = server.log.next(/PostgreSQL started/);
    process.kill(pid, "SIGKILL");
    await back;
    expect(server.pid).not.toBe(pid);
    expect(server.connection).toEqual(connection);
    expect(await query(connection, "select answer from kept")).toEqual([42]);

    // A connection that is ended without the server's death only needs to be made again.
    const again = server.log.next(/using it/);
    const alive = server.pid;
    await query(
      connection,
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'alumia-keeper'",
    );
    await again;
    expect(server.pid).toBe(alive);
    await server.ensureRunning();
  });

  test("that a killed start left half made is made anew", async () => {
    const dataDir = await makeTestDirectory();
    const home = join(dataDir, "postgres");
    const child = spawnUser({ dataDir });
    await draftIn(dataDir, home);
    await crash(child);
    expect(await readdir(home)).not.toContain("cluster");

    const server = await start(dataDir);
    expect(await query(server.connection, "select 1")).toEqual([1]);
    await server.stop();
    await (await start(dataDir)).stop();
    expect(await readdir(home)).toEqual(["cluster"]);
  });

  test("of another version, or without its password, is refused and left alone", async () => {
    const dataDir = await makeStartedDirectory();
    await (await start(dataDir)).stop();
    const password = join(dataDir, "postgres-password");
    await rename(password, `${password}-away`);
    await expect(start(dataDir)).rejects.toThrow(/postgres-password is missing/);
    await writeFile(password, "x".repeat(43), { mode: 0o600 });
    await expect(start(dataDir)).rejects.toThrow(/password authentication failed/);
    await rename(`${password}-away`, password);
    await writeFile(join(dataDir, "postgres", "cluster", "PG_VERSION"), "17\n");
    await expect(start(dataDir)).rejects.toThrow(/made by PostgreSQL 17; this is 18/);
    await writeFile(join(dataDir, "postgres", "cluster", "PG_VERSION"), "18\n");
    await expect(start(dataDir, { settings: { shared_buffers: "much" } })).rejects.toThrow(
      /does not start: invalid value for parameter "shared_buffers"/,
    );
    await start(dataDir);
  });
});

/** Resolves when an initdb is under way in `home`, which may not be there yet. */
async function draftIn(dataDir: string, home: string): Promise<void> {
  const changes = new AbortController();
  const seen = async () => (await readdir(home).catch(() => [])).some((name) => /^draft-\w+$/.test(name));
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = async () => {
    if (await seen()) resolve();
  };
  watch(dataDir, { signal: changes.signal, recursive: true }, () => void look());
  await look();
  await promise;
  changes.abort();
}

describe("several processes", () => {
  test("that start at once for the first time share one server; the last one to leave stops it", async () => {
    const dataDir = await makeTestDirectory();
    const [a, b] = await Promise.all([whenUsing(spawnUser({ dataDir })), whenUsing(spawnUser({ dataDir }))]);
    expect(b.pid).toBe(a.pid);
    expect(await countStarts(dataDir)).toBe(1);
    await endUser(a);
    expect(await query(b.connection, "select 1")).toEqual([1]);
    await endUser(b);
    await until(async () => !(await isRunning(b.pid)));
  });

  test("leave their server to the next when they are killed, with nothing of theirs inside", async () => {
    const dataDir = await makeStartedDirectory();
    const killed = await whenUsing(spawnUser({ dataDir }));
    await query(killed.connection, "create table kept as select 42 as answer");
    if (process.platform === "linux") {
      // Its own session: Ctrl-C in our terminal does not reach it.
      expect(await statField(killed.pid, 6)).toBe(String(killed.pid));
      expect(await readFile(`/proc/${killed.pid}/environ`, "utf8")).not.toContain("MASTER_KEY");
    }
    await crash(killed.child);
    expect(await isRunning(killed.pid)).toBe(true);

    const next = await start(dataDir);
    expect(next.pid).toBe(killed.pid);
    expect(next.log.entries.join()).toContain("using it");
    expect(await query(next.connection, "select answer from kept")).toEqual([42]);
    await next.stop();
    await until(async () => !(await isRunning(killed.pid)));
  });

  test("that find their server dead start one between them", async () => {
    const dataDir = await makeStartedDirectory();
    const [a, b] = [await start(dataDir), await start(dataDir)];
    const { pid } = a;
    const back = Promise.all([
      a.log.next(/PostgreSQL (started|is running)/),
      b.log.next(/PostgreSQL (started|is running)/),
    ]);
    process.kill(pid, "SIGKILL");
    await back;
    expect(a.pid).not.toBe(pid);
    expect(b.pid).toBe(a.pid);
    expect(await countStarts(dataDir)).toBe(2);
    await a.stop();
    expect(await isRunning(b.pid)).toBe(true);
    await b.stop();
    await until(async () => !(await isRunning(b.pid)));
  });
});

describe("what postmaster.pid says is not believed blindly", () => {
  test.runIf(isLinuxRoot)("a stranger with the dead server's id is left alone", async () => {
    const dataDir = await makeStartedDirectory();
    const cluster = join(dataDir, "postgres", "cluster");
    const child = spawnUser({ dataDir });
    const { pid } = await whenUsing(child);
    const { uid, gid } = await stat(cluster);
    await crash(child);
    const text = await readFile(join(cluster, "postmaster.pid"), "utf8");
    const server = await start(dataDir);
    expect(server.pid).toBe(pid);
    await server.stop();

    const stranger = spawn("sleep", ["60"], { uid, gid, stdio: "ignore" });
    atCleanUp(async () => stranger.kill());
    await once(stranger, "spawn");
    const claim = text.replace(String(pid), String(stranger.pid));
    await writeFile(join(cluster, "postmaster.pid"), claim, { mode: 0o600 });
    await chown(join(cluster, "postmaster.pid"), uid, gid);
    await writeFile(join(dataDir, "postgres", ".s.PGSQL.5432.lock"), claim, { mode: 0o600 });
    const next = await start(dataDir);
    expect(await query(next.connection, "select 1")).toEqual([1]);
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });

  test.runIf(process.platform === "linux")("a copied directory gets a server of its own", async () => {
    const dataDir = await makeStartedDirectory();
    const copy = await makeTestDirectory();
    await copyDirectory(dataDir, copy);
    const original = await start(dataDir);
    const claim = await readFile(join(dataDir, "postgres", "cluster", "postmaster.pid"), "utf8");
    await writeFile(join(copy, "postgres", "cluster", "postmaster.pid"), claim, { mode: 0o600 });
    const other = await start(copy);
    expect(other.pid).not.toBe(original.pid);
    await query(other.connection, "create table copied (x int)");
    expect(await query(original.connection, "select to_regclass('copied')")).toEqual([null]);
  });
});

describe("where there are no sockets", () => {
  test("it listens on loopback with SCRAM, on a port that stays, unless somebody took it", async () => {
    const dataDir = await makeStartedDirectory();
    const first = await start(dataDir, { transport: "loopback" });
    expect(first.connection.host).toBe("127.0.0.1");
    expect(await query(first.connection, "select inet_server_addr()::text")).toEqual(["127.0.0.1/32"]);
    expect(await query(first.connection, "show unix_socket_directories")).toEqual([""]);
    await expect(query({ ...first.connection, password: "wrong" }, "select 1")).rejects.toMatchObject({
      code: "28P01",
    });
    // Whatever this process would have chosen, a running server is used as it is.
    const beside = await start(dataDir);
    expect(beside.connection).toEqual(first.connection);
    await beside.stop();
    await first.stop();

    const squatter = createServer().listen(first.connection.port, "127.0.0.1");
    atCleanUp(async () => squatter.close());
    await once(squatter, "listening");
    const second = await start(dataDir, { transport: "loopback" });
    expect(second.connection.port).not.toBe(first.connection.port);
    expect(await query(second.connection, "select 1")).toEqual([1]);
  });

  test("a process whose pools know another address says so, and does not wait for it", async () => {
    const dataDir = await makeStartedDirectory();
    const server = await start(dataDir, { transport: "loopback" });
    const refused = server.log.next(/error PostgreSQL listens at 127\.0\.0\.1, port \d+ now: start again/);
    const placement = await placeServer(dataDir, "/nonexistent");
    const binaries = await findBinaries(placement.user, "/nonexistent");
    await withStartLock(join(dataDir, "postgres.lock"), 5_000, async () => {
      process.kill(server.pid, "SIGKILL");
      await until(async () => !(await isRunning(server.pid)) && !(await isClusterOpen(placement.cluster)));
      expect(await findPostmaster(placement.cluster)).toBeUndefined();
      await launchPostmaster(placement, binaries, await moveLoopbackEndpoint(dataDir), {});
      await until(async () => (await findPostmaster(placement.cluster))?.status === "ready");
    });
    await refused;
    await server.stop({ force: true });
    expect(await findPostmaster(placement.cluster)).toBeUndefined();
  });
});

/** Looks until it is so; the test's own time-out bounds it. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

describe("a path that is too long for a socket", () => {
  test("puts the socket into a short private directory, which nobody else may have made", async () => {
    const dataDir = join(await makeTestDirectory(), "x".repeat(60), "y".repeat(60));
    await mkdir(dataDir, { recursive: true });
    await copyDirectory(await makeStartedDirectory(), dataDir);
    const server = await start(dataDir);
    const { host } = server.connection;
    atCleanUp(() => rm(host, { recursive: true, force: true }));
    expect(host).toMatch(/^\/tmp\/alumia-\d+-[0-9a-f]{16}$/);
    expect((await lstat(host)).mode & 0o777).toBe(0o700);
    expect(await query(server.connection, "select 1")).toEqual([1]);
    await server.stop();

    await chmod(host, 0o777);
    await expect(start(dataDir)).rejects.toThrow(/must be a 0700 directory/);
  });
});

describe.runIf(isLinuxRoot)("started as root", () => {
  test("in a directory that only root can enter: the files go elsewhere, and the log says where", async () => {
    const root = await makeTestDirectory();
    await mkdir(join(root, "closed"), { mode: 0o700 });
    const dataDir = join(root, "closed", "data");
    const systemDir = join(root, "system");
    const server = await start(dataDir, { systemDir });
    const pointer = join(dataDir, "postgres-location");
    const home = (await readFile(pointer, "utf8")).trim();
    expect(home).toMatch(new RegExp(`^${systemDir}/[0-9a-f]{16}$`));
    expect(server.log.entries[0]).toContain(home);
    expect((await stat(home)).mode & 0o777).toBe(0o700);
    await query(server.connection, "create table kept as select 42 as answer");
    await server.stop();

    const again = await start(dataDir, { systemDir });
    expect(await query(again.connection, "select answer from kept")).toEqual([42]);
    await again.stop();

    // Files that are gone are not replaced by an empty database in silence.
    await rename(home, `${home}-away`);
    await expect(start(dataDir, { systemDir })).rejects.toThrow(/postgres-location names .* which is gone/);
    expect(await readdir(systemDir)).toEqual([`${home}-away`.slice(systemDir.length + 1)]);
  });

  test("with data that its user can no longer reach: refused, not started empty", async () => {
    const dataDir = await makeStartedDirectory();
    const systemDir = join(await makeTestDirectory(), "system");
    await chmod(dataDir, 0o700);
    await expect(start(dataDir, { systemDir })).rejects.toThrow(/cannot enter the directories/);
    await expect(stat(systemDir)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("with a system directory that others can write to: refused", async () => {
    const root = await makeTestDirectory();
    await mkdir(join(root, "closed"), { mode: 0o700 });
    await mkdir(join(root, "system"));
    await chmod(join(root, "system"), 0o777);
    const starting = start(join(root, "closed"), { systemDir: join(root, "system") });
    await expect(starting).rejects.toThrow(/only root can write to/);
  });

  test("with files of another user: that user runs it, here nobody", async () => {
    const dataDir = await makeTestDirectory();
    await mkdir(join(dataDir, "postgres"), { mode: 0o700 });
    await chown(join(dataDir, "postgres"), 65534, 65534);
    const server = await start(dataDir);
    expect((await stat(`/proc/${server.pid}`)).uid).toBe(65534);
    expect((await stat(join(dataDir, "postgres", "cluster"))).uid).toBe(65534);
    expect(await readFile(`/proc/${server.pid}/status`, "utf8")).toMatch(/^Groups:\s*$/m);
    await server.stop();
  });
});

describe.runIf(isRoot)("started as a plain user", () => {
  test("it runs as that user; files of another user are refused", async () => {
    const dataDir = await makeTestDirectory();
    await chown(dataDir, 65534, 65534);
    const user = await whenUsing(spawnUser({ dataDir }, { uid: 65534, gid: 65534 }));
    expect((await stat(`/proc/${user.pid}`)).uid).toBe(65534);
    expect(await query(user.connection, "select 1")).toEqual([1]);
    await endUser(user);
    await until(async () => !(await isRunning(user.pid)));

    await chown(join(dataDir, "postgres"), 1, 1);
    const refused = whenUsing(spawnUser({ dataDir }, { uid: 65534, gid: 65534 }));
    await expect(refused).rejects.toThrow(/must be a 0700 directory of uid 65534; it is owned by uid 1/);
  });
});
