/**
 * Circuits: whether a destination is left alone for a while. The state stands in its lane, so that it holds for every
 * replica; a closed one is none.
 */
import type { Pool } from "pg";
import { transaction } from "../transaction.ts";
import { type NewNotice, raiseNotice } from "./notices.ts";

/** A circuit that was closed, as it was before. */
export interface ClosedCircuit {
  readonly organizationId: string;
  readonly openedAt: Date | string;
  /** How often it was opened since it was last closed. */
  readonly openings: number;
}

/** What is told of it. */
export function closedNotice(webhookId: string, { organizationId, openedAt, openings }: ClosedCircuit): NewNotice {
  return { organizationId, webhookId, type: "circuit.closed", data: { openedAt: new Date(openedAt), openings } };
}

const OPEN = `
insert into lanes as l (destination_id, organization_id, next_at, circuit, circuit_until, opened_at, openings)
select id, organization_id, now() + $2 * interval '1 millisecond', 'open', now() + $2 * interval '1 millisecond', now(), 1
from webhooks where id = $1
on conflict (destination_id) do update set circuit = 'open', circuit_until = excluded.circuit_until,
  next_at = excluded.next_at, opened_at = now(), openings = 1
where l.circuit is null
returning organization_id as "organizationId", opened_at as "openedAt", circuit_until as "nextProbeAt"`;

interface Opened {
  readonly organizationId: string;
  readonly openedAt: Date;
  readonly nextProbeAt: Date;
}

/** Opens a circuit that is closed, for `openMs`; false if it is open already or the destination is gone. */
export async function openCircuit(pool: Pool, destinationId: string, openMs: number): Promise<boolean> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<Opened>(OPEN, [destinationId, openMs]);
    const [opened] = rows;
    if (!opened) return false;
    const { organizationId, ...data } = opened;
    await raiseNotice(client, { organizationId, webhookId: destinationId, type: "circuit.opened", data });
    return true;
  });
}

// A probe that failed opens it for twice as long as the time before, up to $3.
const REOPEN = `
update lanes set circuit = 'open', openings = openings + 1,
  circuit_until = now() + least($2 * power(2, least(openings, 20)), $3) * interval '1 millisecond',
  next_at = now() + least($2 * power(2, least(openings, 20)), $3) * interval '1 millisecond'
where destination_id = $1 and circuit = 'half_open'`;

const close = (destinationId: "?" | "$1") => `
update lanes l set circuit = null, circuit_until = null, opened_at = null, openings = 0, next_at = now()
from (select destination_id, openings, opened_at from lanes
  where destination_id = ${destinationId} and circuit is not null for update) b
where l.destination_id = b.destination_id
returning l.organization_id as "organizationId", b.opened_at as "openedAt", b.openings`;

export interface CircuitTimes {
  /** How long the first opening lasts (0: there is none), and the longest, milliseconds. */
  readonly openMs: number;
  readonly openMsMax: number;
}

/** What a probe came to: it closes the circuit, or opens it for longer. */
export async function settleProbe(
  pool: Pool,
  destinationId: string,
  works: boolean,
  { openMs, openMsMax }: CircuitTimes,
): Promise<void> {
  if (!works) {
    await pool.query(REOPEN, [destinationId, openMs, openMsMax]);
    return;
  }
  await transaction(pool, async (client) => {
    const { rows } = await client.query<ClosedCircuit>(close("$1"), [destinationId]);
    if (rows[0]) await raiseNotice(client, closedNotice(destinationId, rows[0]));
  });
}

/** Closes a circuit whose destination is another one now, or that a person trusts again. The id is its parameter. */
export const FORGET_CIRCUIT = close("?");
