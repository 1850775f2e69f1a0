/** Small files that must be whole or absent, also after a power cut. */
import { randomBytes } from "node:crypto";
import { link, open, readFile, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "./embedded-error.ts";

/** Bytes read of a small file; ours are far shorter. */
const SMALL_FILE_BYTES_MAX = 64 * 1024;

/** Flushes a directory's entries to disk. Windows cannot open directories and keeps them in its own journal. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates `path` with the whole of `content` (mode 0600) unless it exists; false if it does. Of several processes
 * that call it at once exactly one gets true, and none ever reads half a file.
 */
export async function createDurably(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
    await handle.close();
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await handle.close().catch(() => {});
    await unlink(draft);
  }
  await syncDirectory(dirname(path));
  return true;
}

/** The text of a small file, or undefined where there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).slice(0, SMALL_FILE_BYTES_MAX);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
