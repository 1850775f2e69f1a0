/** A data directory for a service process with its embedded server, and a way into its database from outside. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "pg";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/store/embedded/embedded-postgres.ts";
import { findPostmaster } from "../../src/store/embedded/postmaster.ts";

export interface EmbeddedDirectory {
  readonly path: string;
  /** Process id of the server; undefined while none runs. */
  postmaster(): Promise<number | undefined>;
  /** Connections to the server that a service has started. They do not count as a process that uses it. */
  connect(): Promise<Pool>;
  /** Ends the server, if a killed service has left it behind, and removes the files. */
  remove(): Promise<void>;
}

export async function makeEmbeddedDirectory(parent = tmpdir()): Promise<EmbeddedDirectory> {
  const path = await mkdtemp(join(parent, "alumia-faults-"));
  // A run as root: the server's own user must be able to pass through.
  await chmod(path, 0o711);
  const pools: Pool[] = [];
  const share = async (): Promise<EmbeddedPostgres> => await startEmbeddedPostgres({ dataDir: path, log: () => {} });
  const postmaster = async () => (await findPostmaster(join(path, "postgres", "cluster")))?.pid;
  return {
    path,
    postmaster,
    connect: async () => {
      const user = await share();
      const pool = new Pool({ ...user.connection, max: 2 });
      // A server that is killed takes its connections with it.
      pool.on("error", () => {});
      pools.push(pool);
      await user.stop();
      return pool;
    },
    remove: async () => {
      await Promise.all(pools.map((pool) => pool.end()));
      if ((await postmaster()) !== undefined) await (await share()).stop({ force: true });
      await rm(path, { recursive: true, force: true });
    },
  };
}
