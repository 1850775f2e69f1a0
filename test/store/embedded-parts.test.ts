/** The private server's parts that need no server: parsing, choices, the lock, the programs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { findBinaries, packagedPrograms } from "../../src/store/embedded/binaries.ts";
import { createDurably } from "../../src/store/embedded/durable-file.ts";
import { listenSettings, openLoopbackEndpoint, socketDirectory } from "../../src/store/embedded/endpoint.ts";
import { isGuardedDirectory, isPrivateDirectory, mayEnter } from "../../src/store/embedded/ownership.ts";
import { openPassword } from "../../src/store/embedded/password.ts";
import { findPostmaster, parsePostmasterFile } from "../../src/store/embedded/postmaster.ts";
import { firstError } from "../../src/store/embedded/server-process.ts";
import { chooseServerUser, parsePasswd } from "../../src/store/embedded/server-user.ts";
import { settingArguments } from "../../src/store/embedded/settings.ts";
import { withStartLock } from "../../src/store/embedded/start-lock.ts";
import { cleanUp, isLinuxRoot, makeTestDirectory } from "./embedded-support.ts";

afterEach(cleanUp);

const PASSWD = `root:x:0:0:root:/root:/bin/bash
broken line
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
half:x:12
alice:x:1000:1001::/home/alice:/bin/sh
postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash
`;
const NOBODY = { name: "nobody", uid: 65534, gid: 65534 };
const POSTGRES = { name: "postgres", uid: 101, gid: 104 };
const ALICE = { name: "alice", uid: 1000, gid: 1001 };

describe("the user that a root service drops to", () => {
  const users = parsePasswd(PASSWD);
  const withoutPostgres = users.filter((user) => user.name !== "postgres");

  test("passwd entries are read, other lines skipped", () => {
    expect(users).toEqual([{ name: "root", uid: 0, gid: 0 }, NOBODY, ALICE, POSTGRES]);
  });

  test.each([
    ["postgres where there is one", users, undefined, POSTGRES],
    ["nobody where there is not", withoutPostgres, undefined, NOBODY],
    ["the owner of what is there", users, 1000, ALICE],
    ["root's leftovers count as nobody's", users, 0, POSTGRES],
  ])("%s", (_, entries, owner, expected) => expect(chooseServerUser(entries, owner)).toEqual(expected));

  test.each([
    ["no unprivileged user", [{ name: "root", uid: 0, gid: 0 }], undefined, /no user postgres or nobody/],
    ["a postgres that is root", [{ name: "postgres", uid: 0, gid: 0 }], undefined, /no user postgres or nobody/],
    ["an owner without an entry", users, 4242, /uid 4242, which has no user/],
  ])("refused: %s", (_, entries, owner, message) => expect(() => chooseServerUser(entries, owner)).toThrow(message));
});

test.each([
  [{ uid: 101, gid: 0, mode: 0o40700 }, true],
  [{ uid: 101, gid: 104, mode: 0o40077 }, false],
  [{ uid: 0, gid: 104, mode: 0o40710 }, true],
  [{ uid: 0, gid: 104, mode: 0o40701 }, false],
  [{ uid: 0, gid: 0, mode: 0o40711 }, true],
  [{ uid: 0, gid: 0, mode: 0o40766 }, false],
])("may user 101, group 104 pass through %o", (directory, expected) => {
  expect(mayEnter(directory, POSTGRES)).toBe(expected);
});

describe("postmaster.pid", () => {
  const lines = ["4711", "/data/cluster", "1795000000", "5432", "/run/x", "", "  5432001    65536", "ready   ", ""];

  test.each([
    ["ready", lines.join("\n"), { pid: 4711, status: "ready", port: 5432, socketDirectory: "/run/x" }],
    ["stopping", lines.join("\n").replace("ready", "stopping"), { pid: 4711, status: "stopping" }],
    ["half written", lines.slice(0, 3).join("\n"), { pid: 4711, status: "starting", port: 0, socketDirectory: "" }],
  ])("%s", (_, text, expected) => expect(parsePostmasterFile(text)).toMatchObject({ ...expected, text }));

  test.each(["", "\n/data\n", "-1\n/data\n", "0\n/data\n", "12", "abc\n/data"])("not one: %j", (text) => {
    expect(parsePostmasterFile(text)).toBeUndefined();
  });

  test("a process id that is no PostgreSQL's is not believed, and the file goes", async () => {
    const cluster = await makeTestDirectory();
    await writeFile(join(cluster, "postmaster.pid"), lines.join("\n").replace("4711", String(process.pid)));
    expect(await findPostmaster(cluster)).toBeUndefined();
    expect(await readdir(cluster)).toEqual([]);
  });
});

describe("the socket's directory", () => {
  const LONGEST = process.platform === "linux" ? 107 : 103;
  const fitting = `/${"x".repeat(LONGEST - "/.s.PGSQL.5432".length - 1)}`;

  test("is the home as long as the path fits into sockaddr_un", () => {
    expect(socketDirectory(fitting, 5)).toBe(fitting);
  });

  test("is a short one of its own beyond that, counted in bytes", () => {
    expect(socketDirectory(`${fitting}x`, 5)).toMatch(/^\/tmp\/alumia-5-[0-9a-f]{16}$/);
    expect(socketDirectory(`${fitting.slice(0, -1)}é`, 5)).toMatch(/^\/tmp\/alumia-5-/);
    expect(socketDirectory(`${fitting}x`, 5)).not.toBe(socketDirectory(`${fitting}y`, 5));
  });
});

test("nobody can override where the server listens, and the caller's settings win over ours", () => {
  const args = settingArguments(
    { listen_addresses: "*", fsync: "off" },
    listenSettings({ host: '/a, "b"', port: 5432 }),
  );
  const given = args.filter((argument) => argument !== "-c");
  expect(given.filter((argument) => argument.startsWith("listen_addresses="))).toEqual(["listen_addresses="]);
  expect(given.filter((argument) => argument.startsWith("fsync="))).toEqual(["fsync=off"]);
  expect(given).toContain('unix_socket_directories="/a, ""b"""');
});

test.each([
  ["2026-11-23 21:00:00 UTC [7] LOG:  starting\n2026 UTC [7] FATAL:  no room\nHINT: x\n", "no room"],
  ['initdb: error: directory "x" exists\ninitdb: hint: y', 'directory "x" exists'],
  ["cannot load library\n", "cannot load library"],
])("the line that says what is wrong, of %j", (output, expected) => expect(firstError(output)).toBe(expected));

test("of many that create a file one does, and it is whole", async () => {
  const path = join(await makeTestDirectory(), "file");
  const contents = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(1000));
  const made = await Promise.all(contents.map((content) => createDurably(path, content)));
  expect(made.filter(Boolean)).toHaveLength(1);
  expect(await readFile(path, "utf8")).toBe(contents[made.indexOf(true)]);
  expect(await readdir(dirname(path))).toEqual(["file"]);
});

describe("the start lock", () => {
  test("lets one in at a time and leaves nothing behind", async () => {
    const path = join(await makeTestDirectory(), "lock");
    let inside = 0;
    let most = 0;
    const turn = () =>
      withStartLock(path, 10_000, async () => {
        most = Math.max(most, ++inside);
        await readdir(dirname(path));
        inside--;
      });
    await Promise.all(Array.from({ length: 8 }, turn));
    expect(most).toBe(1);
    expect(await readdir(dirname(path))).toEqual([]);
  });

  test("is given back by an action that fails", async () => {
    const path = join(await makeTestDirectory(), "lock");
    const failing = withStartLock(path, 0, () => Promise.reject(new Error("mine")));
    await expect(failing).rejects.toThrow("mine");
    await expect(withStartLock(path, 0, async () => "in")).resolves.toBe("in");
  });

  test.each([
    ["of a dead process", "deadpid - abc\n"],
    ["of an earlier process of a living id", `${process.pid} another-boot/123 abc\n`],
    ["that is garbage", "\n"],
  ])("takes a lock %s away", async (_, left) => {
    const path = join(await makeTestDirectory(), "lock");
    const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await once(child, "exit");
    await writeFile(path, left.replace("deadpid", String(child.pid)));
    await expect(withStartLock(path, 5_000, async () => "in")).resolves.toBe("in");
  });

  test("is not taken from a living process", async () => {
    const path = join(await makeTestDirectory(), "lock");
    await withStartLock(path, 0, async () => {
      await expect(withStartLock(path, 50, async () => "in")).rejects.toThrow(/another process holds/);
      expect(await readFile(path, "utf8")).toContain(String(process.pid));
    });
  });
});

describe("the password", () => {
  test("is made once, for the service's eyes only", async () => {
    const directory = await makeTestDirectory();
    const passwords = await Promise.all([openPassword(directory, false), openPassword(directory, false)]);
    expect(passwords[0]).toMatch(/^[\w-]{43}$/);
    expect(passwords[1]).toBe(passwords[0]);
    await chmod(join(directory, "postgres-password"), 0o644);
    expect(await openPassword(directory, true)).toBe(passwords[0]);
    await expect(createDurably(join(directory, "postgres-password"), "x")).resolves.toBe(false);
  });

  test("is not made anew for a database that exists, nor read from a damaged file", async () => {
    const directory = await makeTestDirectory();
    await expect(openPassword(directory, true)).rejects.toThrow(/postgres-password is missing/);
    await writeFile(join(directory, "postgres-password"), "\n");
    await expect(openPassword(directory, true)).rejects.toThrow(/does not hold a password/);
  });
});

test("the loopback port is remembered", async () => {
  const directory = await makeTestDirectory();
  const first = await openLoopbackEndpoint(directory);
  expect(first).toEqual({ host: "127.0.0.1", port: expect.any(Number) });
  expect(await openLoopbackEndpoint(directory)).toEqual(first);
});

test("a link to a private directory is none, nor is one that others may enter", async () => {
  const directory = await makeTestDirectory();
  const uid = process.getuid?.() ?? -1;
  await mkdir(join(directory, "private"), { mode: 0o700 });
  await symlink("private", join(directory, "link"));
  expect(await isPrivateDirectory(join(directory, "private"), uid)).toBe(true);
  expect(await isPrivateDirectory(join(directory, "private"), uid + 1)).toBe(false);
  expect(await isPrivateDirectory(join(directory, "link"), uid)).toBe(false);
  expect(await isPrivateDirectory(directory, uid)).toBe(false);
  expect(await isGuardedDirectory(directory, uid)).toBe(true);
  await chmod(directory, 0o775);
  expect(await isGuardedDirectory(directory, uid)).toBe(false);
});

describe.runIf(isLinuxRoot)("programs that the server's user cannot reach", () => {
  async function installOutOfReach() {
    const root = await makeTestDirectory();
    const programs = await packagedPrograms();
    const source = dirname(dirname(programs.postgres));
    const target = join(root, "closed", "linux-x64");
    await cp(source, join(target, "native"), {
      recursive: true,
      // As npm unpacks the package while install scripts are not allowed: without its links.
      filter: (path) =>
        !/\.(a|so(\.\d+)?)$/.test(path) || /lib(crypto|ssl|xml2|xslt|z|lzma|ossp-uuid)\.so|postgresql\//.test(path),
    });
    await cp(join(dirname(source), "package.json"), join(target, "package.json"));
    await chmod(join(root, "closed"), 0o700);
    const bin = (name: string) => join(target, "native", "bin", name);
    const installed = { initdb: bin("initdb"), postgres: bin("postgres"), pgCtl: bin("pg_ctl") };
    return { cache: join(root, "cache"), installed };
  }

  test("are copied, with their links, where only root can write", async () => {
    const { cache, installed } = await installOutOfReach();
    const user = parsePasswd(await readFile("/etc/passwd", "utf8")).find((entry) => entry.name === "nobody");
    const found = await findBinaries(user, cache, installed);
    expect(found.majorVersion).toBe("18");
    expect(dirname(dirname(dirname(found.postgres)))).toBe(cache);
    expect(await findBinaries(user, cache, installed)).toEqual(found);
    expect(await readdir(cache)).toHaveLength(1);

    await chown(dirname(dirname(found.postgres)), user?.uid ?? -1, 0);
    await expect(findBinaries(user, cache, installed)).rejects.toThrow(/must belong to us alone/);
    await rm(cache, { recursive: true });
    await mkdir(cache);
    await chmod(cache, 0o777);
    await expect(findBinaries(user, cache, installed)).rejects.toThrow(/only root can write to/);
  });
});
