/** Secrets that providers send: windows in which one is taken, and what was taken. All times are the database's. */
import type { ClientBase, Pool } from "pg";

/** A window, and whether a secret has been taken in it. */
export interface Capture {
  readonly webhookId: string;
  readonly openedAt: Date;
  /** End of the window, or of the time in which what was taken can be confirmed. */
  readonly expiresAt: Date;
  readonly hasEnded: boolean;
  readonly capturedAt: Date | null;
  readonly remoteAddress: string | null;
}

const COLUMNS = `webhook_id as "webhookId", opened_at as "openedAt", expires_at as "expiresAt",
  expires_at <= now() as "hasEnded", captured_at as "capturedAt", remote_address as "remoteAddress"`;

/** Opens a window, in place of one before it and what was taken there; undefined if there is no such webhook. */
export async function openCapture(
  pool: Pool,
  organizationId: string,
  webhookId: string,
  seconds: number,
): Promise<Capture | undefined> {
  const { rows } = await pool.query<Capture>(
    `insert into secret_captures (webhook_id, organization_id, opened_at, expires_at)
     select id, organization_id, now(), now() + $3 * interval '1 second' from webhooks
     where id = $1 and organization_id = $2
     on conflict (webhook_id) do update set opened_at = excluded.opened_at, expires_at = excluded.expires_at,
       sealed = null, captured_at = null, remote_address = null
     returning ${COLUMNS}`,
    [webhookId, organizationId, seconds],
  );
  return rows[0];
}

export async function findCapture(pool: Pool, organizationId: string, webhookId: string): Promise<Capture | undefined> {
  const text = `select ${COLUMNS} from secret_captures where webhook_id = $1 and organization_id = $2`;
  const { rows } = await pool.query<Capture>(text, [webhookId, organizationId]);
  return rows[0];
}

/** Keeps a secret that came while the window was open, the first one only; tells whether it was. */
export async function keepCaptured(
  pool: Pool,
  captured: { webhookId: string; sealed: Buffer; remoteAddress: string; keptSeconds: number },
): Promise<boolean> {
  const { webhookId, sealed, remoteAddress, keptSeconds } = captured;
  const { rowCount } = await pool.query(
    `update secret_captures set sealed = $2, captured_at = now(), remote_address = $3,
       expires_at = now() + $4 * interval '1 second'
     where webhook_id = $1 and sealed is null and expires_at > now()`,
    [webhookId, sealed, remoteAddress, keptSeconds],
  );
  return rowCount === 1;
}

/** Takes what was captured out, for a caller of the ORM: parameters are the webhook's id and its organization's. */
export const TAKE_CAPTURED = `delete from secret_captures
  where webhook_id = ? and organization_id = ? and sealed is not null and expires_at > now() returning sealed`;

/** Removes windows, and secrets that nobody confirmed, a day after their time. */
export async function purgeCaptures(client: ClientBase): Promise<void> {
  await client.query("delete from secret_captures where expires_at < now() - interval '1 day'");
}
