/** Which operating system user runs the server: PostgreSQL refuses root. */
import { EmbeddedPostgresError } from "./embedded-error.ts";

/** A user of the operating system, as in passwd(5). */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Users that a root service drops to, in order of preference. */
const UNPRIVILEGED = ["postgres", "nobody"];

/** Reads passwd(5) text; lines that are no entries are skipped. */
export function parsePasswd(text: string): ServerUser[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid, gid] = line.split(":");
    if (!name || !uid || !gid || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/**
 * The user that a service started as root gives the server to: whoever owns the server's files already, so that
 * a data directory made by a plain user stays theirs, else `postgres`, else `nobody`.
 *
 * @param ownerUid owner of the server's directory, undefined where there is none yet.
 * @throws EmbeddedPostgresError when no such user has an entry (initdb and postgres look their own user up).
 */
export function chooseServerUser(users: readonly ServerUser[], ownerUid: number | undefined): ServerUser {
  if (ownerUid !== undefined && ownerUid !== 0) {
    const owner = users.find((user) => user.uid === ownerUid);
    if (!owner) throw new EmbeddedPostgresError(`the database belongs to uid ${ownerUid}, which has no user here`);
    return owner;
  }
  for (const name of UNPRIVILEGED) {
    const user = users.find((entry) => entry.name === name && entry.uid !== 0);
    if (user) return user;
  }
  throw new EmbeddedPostgresError(
    "PostgreSQL refuses to run as root and there is no user postgres or nobody: start as another user",
  );
}
