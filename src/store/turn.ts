/** Work that one process at a time may do, whatever the number of replicas. */
import type { ClientBase, Pool } from "pg";

/** Advisory lock keys, far from those of the migrations. */
export const TURNS = { retention: 0x616c756d_01, doctor: 0x616c756d_02 } as const;

/**
 * Does the work on a connection that holds the turn; undefined if another process has it. The turn ends with the
 * connection, so that of a process that was killed is free at once.
 */
export async function takeTurn<Result>(
  pool: Pool,
  turn: keyof typeof TURNS,
  work: (client: ClientBase) => Promise<Result>,
): Promise<Result | undefined> {
  const client = await pool.connect();
  let clean = false;
  try {
    const { rows } = await client.query<{ mine: boolean }>("select pg_try_advisory_lock($1) as mine", [TURNS[turn]]);
    const result = rows[0]?.mine ? await work(client) : undefined;
    if (rows[0]?.mine) await client.query("select pg_advisory_unlock($1)", [TURNS[turn]]);
    clean = true;
    return result;
  } finally {
    // A connection that failed is closed, and its turn with it.
    client.release(!clean);
  }
}
