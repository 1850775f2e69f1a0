/**
 * Where the server listens: on a Unix socket in a directory that only its user may enter, or, where there are no
 * such sockets, on a loopback port. Both ask for the SCRAM password.
 */
import { createHash } from "node:crypto";
import { lchown, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { readIfPresent } from "./durable-file.ts";
import { EmbeddedPostgresError } from "./embedded-error.ts";
import { isPrivateDirectory, makeDirectory } from "./ownership.ts";
import type { Placement } from "./placement.ts";
import type { PostmasterFile } from "./postmaster.ts";

export interface Endpoint {
  /** A socket directory or a loopback address, as `pg` takes it. */
  readonly host: string;
  readonly port: number;
}

/** Longest path of a Unix socket, bytes: sockaddr_un's sun_path less its final NUL (104 on the BSDs, 108 on Linux). */
const SOCKET_PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;
/** Names the socket only; no TCP port is opened by it. */
const SOCKET_PORT = 5432;
/** Where socket directories go whose own path would be too long. Fixed, so that every process finds the same. */
const SHORT_PARENT = "/tmp";

/** The socket's directory for a home, by the length of its path; not made yet. */
export function socketDirectory(home: string, uid: number): string {
  const path = join(home, `.s.PGSQL.${SOCKET_PORT}`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return home;
  return join(SHORT_PARENT, `alumia-${uid}-${createHash("sha256").update(home).digest("hex").slice(0, 16)}`);
}

/**
 * The socket endpoint of a server, its directory made where that is needed.
 * @throws EmbeddedPostgresError when somebody else holds the directory's name.
 */
export async function openSocketEndpoint(placement: Placement): Promise<Endpoint> {
  const uid = placement.user?.uid ?? process.getuid?.() ?? 0;
  const host = socketDirectory(placement.home, uid);
  if (host !== placement.home) {
    const made = await makeDirectory(host, 0o700);
    if (made && placement.user) await lchown(host, placement.user.uid, placement.user.gid);
    if (!(await isPrivateDirectory(host, uid))) {
      throw new EmbeddedPostgresError(`${host} must be a 0700 directory of uid ${uid}: remove it`);
    }
  }
  return { host, port: SOCKET_PORT };
}

/**
 * Where a running server listens; undefined while it has not said so.
 * @throws EmbeddedPostgresError when its socket's directory is open to others.
 */
export async function runningEndpoint(running: PostmasterFile, placement: Placement): Promise<Endpoint | undefined> {
  if (running.port === 0 || running.status !== "ready") return undefined;
  if (running.socketDirectory === "") return { host: "127.0.0.1", port: running.port };
  const uid = placement.user?.uid ?? process.getuid?.() ?? 0;
  if (!(await isPrivateDirectory(running.socketDirectory, uid))) {
    throw new EmbeddedPostgresError(`the socket directory ${running.socketDirectory} is not private: stop PostgreSQL`);
  }
  return { host: running.socketDirectory, port: running.port };
}

/** The loopback endpoint that the data directory remembers, or a new one on a port that is free now. */
export async function openLoopbackEndpoint(dataDir: string): Promise<Endpoint> {
  const remembered = Number(await readIfPresent(portPath(dataDir)));
  if (Number.isInteger(remembered) && remembered > 0 && remembered < 65_536) {
    return { host: "127.0.0.1", port: remembered };
  }
  return await moveLoopbackEndpoint(dataDir);
}

/** Picks a free loopback port and remembers it. Only while no server runs. */
export async function moveLoopbackEndpoint(dataDir: string): Promise<Endpoint> {
  const port = await freePort();
  const draft = `${portPath(dataDir)}.${process.pid}`;
  await writeFile(draft, `${port}\n`);
  await rename(draft, portPath(dataDir));
  return { host: "127.0.0.1", port };
}

/** The settings that make a server listen there and nowhere else. */
export function listenSettings(endpoint: Endpoint): Record<string, string> {
  const onSocket = endpoint.host.startsWith("/");
  return {
    listen_addresses: onSocket ? "" : endpoint.host,
    unix_socket_directories: onSocket ? quoteListEntry(endpoint.host) : "",
    port: String(endpoint.port),
  };
}

/** An entry of a list setting: quoted, because a comma or a blank in a path would split it. */
function quoteListEntry(entry: string): string {
  return `"${entry.replaceAll('"', '""')}"`;
}

function portPath(dataDir: string): string {
  return join(dataDir, "postgres-port");
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address) resolve(address.port);
        else reject(new EmbeddedPostgresError("no free loopback port"));
      });
    });
  });
}
