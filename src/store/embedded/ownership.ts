/** Who may enter, and who may have tampered with, a path. */
import { lstat, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "./embedded-error.ts";
import type { ServerUser } from "./server-user.ts";

/** Owner and permission bits, as stat(2) gives them. */
export interface Permissions {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * Whether the user may pass through a directory, by its permission bits alone: an access control list that grants
 * more is not seen, which at worst puts the files elsewhere.
 */
export function mayEnter(directory: Permissions, user: ServerUser): boolean {
  if (directory.uid === user.uid) return (directory.mode & 0o100) !== 0;
  if (directory.gid === user.gid) return (directory.mode & 0o010) !== 0;
  return (directory.mode & 0o001) !== 0;
}

/** Whether the user can reach what lies in `realPath`: may pass through it and everything above it. */
export async function isReachable(realPath: string, user: ServerUser): Promise<boolean> {
  for (let path = realPath; ; path = dirname(path)) {
    if (!mayEnter(await stat(path), user)) return false;
    if (path === dirname(path)) return true;
  }
}

/** Whether `path` itself (no symbolic link) is a directory that only `uid` may enter. */
export async function isPrivateDirectory(path: string, uid: number): Promise<boolean> {
  const status = await lstat(path);
  return status.isDirectory() && status.uid === uid && (status.mode & 0o077) === 0;
}

/** Whether `path` itself is a directory that `uid` owns and nobody else may write to. */
export async function isGuardedDirectory(path: string, uid: number): Promise<boolean> {
  const status = await lstat(path);
  return status.isDirectory() && status.uid === uid && (status.mode & 0o022) === 0;
}

/** Makes one directory; false if something of that name exists already. */
export async function makeDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}
