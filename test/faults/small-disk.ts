/** A file system of its own that a test can fill: a tmpfs, which only root may mount. */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, rmdir, statfs, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether this process may make one. */
export const canMount = process.platform === "linux" && process.getuid?.() === 0;

export interface SmallDisk {
  readonly path: string;
  /** Takes all space but `leaveBytes`. */
  fill(leaveBytes: number): Promise<void>;
  /** Gives the space back. */
  free(): Promise<void>;
  remove(): Promise<void>;
}

export async function makeSmallDisk(mebibytes: number): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), "alumia-disk-"));
  await run("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", path]);
  // The server's own user must be able to pass through.
  await chmod(path, 0o711);
  const ballast = join(path, "ballast");
  return {
    path,
    fill: async (leaveBytes) => {
      const { bavail, bsize } = await statfs(path);
      const bytes = bavail * bsize - leaveBytes;
      // What is written meanwhile by others may leave less: then the ballast is as much as fits.
      if (bytes > 0) await writeFile(ballast, Buffer.alloc(bytes), { flag: "a" }).catch(() => {});
    },
    free: async () => {
      await truncate(ballast, 0).catch(() => {});
      await rm(ballast, { force: true });
    },
    remove: async () => {
      await run("umount", [path]);
      await rmdir(path);
    },
  };
}
