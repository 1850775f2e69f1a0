/**
 * Recording events: group-committed, each at most once.
 *
 * What makes a repeat is a key (DESIGN §5, Duplicates). Rows of one webhook that share a key never share a batch: the
 * later ones wait for the first and are answered from its outcome. A key that an earlier event holds makes a repeat,
 * unless the body differs where bodies count: then the event is recorded and flagged.
 */
import { createHash } from "node:crypto";
import type { Pool } from "pg";
import { AppError } from "../errors.ts";
import type { Observer } from "../observe/observer.ts";
import { runBatch, unavailable } from "../store/batch-errors.ts";
import { GroupCommit, type GroupCommitLimits } from "../store/group-commit.ts";
import { findRepeats, insertReceived, type ReceiveRow, type ReceiveState, type Repeat } from "../store/sql/receive.ts";

/** What became of a row. */
export type Recorded =
  | { readonly kind: "stored" }
  /** Stored; its delivery waits in its destination's lane. */
  | { readonly kind: "laned" }
  | { readonly kind: "repeat"; readonly eventId: string }
  /** The webhook changed since the row was judged. */
  | { readonly kind: "stale" };

export interface EventRecorderOptions {
  readonly pool: Pool;
  readonly observer: Observer;
  readonly limits: GroupCommitLimits;
  readonly dedupeWindowSeconds: number;
  readonly leaseMs: number;
  readonly batchRetriesMax: number;
}

/** Overhead of a row beyond its body, for the byte bounds. */
const ROW_BYTES = 1_024;
/** How often a row is tried anew when the event that held its key has just gone. */
const RACES_MAX = 5;

export class EventRecorder {
  readonly #inserts: GroupCommit<ReceiveRow, ReceiveState>;
  readonly #repeats: GroupCommit<{ webhookId: string; key: string }, Repeat | undefined>;
  readonly #rows = new Set<Promise<Recorded>>();
  /** Rows under way, by key. */
  readonly #underWay = new Map<string, { readonly row: ReceiveRow; readonly recorded: Promise<Recorded> }>();

  constructor(options: EventRecorderOptions) {
    const { pool, observer, limits, batchRetriesMax } = options;
    const settings = { dedupeWindowSeconds: options.dedupeWindowSeconds, leaseMs: options.leaseMs };
    const insert = (rows: ReceiveRow[]) =>
      runBatch(rows, (batch) => insertReceived(pool, batch, settings), batchRetriesMax);
    this.#inserts = new GroupCommit((rows) => observer.batch("receive", rows.length, () => insert(rows)), limits, {
      bytesOf: (row) => row.body.length + ROW_BYTES,
      ownerOf: (row) => row.organizationId,
    });
    this.#repeats = new GroupCommit(async (keys) => {
      try {
        return await observer.batch("repeats", keys.length, () => findRepeats(pool, keys));
      } catch (error) {
        throw unavailable(error);
      }
    }, limits);
  }

  /** Resolves once the row is committed, or known to be a repeat or stale. */
  async record(row: ReceiveRow): Promise<Recorded> {
    const keys = [row.repeatKey, row.reuseKey].filter((key) => key !== null).map((key) => `${row.webhookId}:${key}`);
    for (let first = this.#first(keys); first !== undefined; first = this.#first(keys)) {
      const recorded = await first.recorded.catch(() => undefined);
      const eventId = recorded && sameEvent(first.row, row) ? eventIdOf(first.row, recorded) : undefined;
      if (eventId !== undefined) return { kind: "repeat", eventId };
    }
    const recorded = this.#record(row);
    this.#rows.add(recorded);
    for (const key of keys) this.#underWay.set(key, { row, recorded });
    try {
      return await recorded;
    } finally {
      this.#rows.delete(recorded);
      for (const key of keys) this.#underWay.delete(key);
    }
  }

  /** Rows that wait for a batch, by batch. */
  get waiting(): { readonly receive: number; readonly repeats: number } {
    return { receive: this.#inserts.waiting, repeats: this.#repeats.waiting };
  }

  /** Rows that are not settled yet. */
  get pending(): number {
    return this.#rows.size;
  }

  /** Resolves once everything submitted is settled. */
  async drain(): Promise<void> {
    while (this.#rows.size > 0) await Promise.allSettled(this.#rows);
  }

  #first(keys: readonly string[]) {
    const key = keys.find((candidate) => this.#underWay.has(candidate));
    return key === undefined ? undefined : this.#underWay.get(key);
  }

  async #record(row: ReceiveRow): Promise<Recorded> {
    for (let race = 0; race < RACES_MAX; race++) {
      const state = await this.#inserts.submit(row);
      if (state !== "repeat") return { kind: state };
      const holder = await this.#repeats.submit({ webhookId: row.webhookId, key: row.repeatKey ?? "" });
      if (!holder) continue;
      if (row.bodyHash === null || row.bodyHash === holder.bodyHash) return { kind: "repeat", eventId: holder.eventId };
      return await this.#recordReused(row, row.bodyHash);
    }
    throw new AppError("SERVICE_UNAVAILABLE", "the event could not be recorded; try again shortly");
  }

  /** The same id with another body: an event of its own, whose repeats share both id and body. */
  async #recordReused(row: ReceiveRow, bodyHash: string): Promise<Recorded> {
    const repeatKey = dedupeKey("id+body", `${row.repeatKey}:${bodyHash}`);
    return await this.#record({ ...row, repeatKey, bodyHash: null, reused: true });
  }
}

/** Whether two rows of one webhook are one event, judged against the same version of it. */
function sameEvent(first: ReceiveRow, row: ReceiveRow): boolean {
  return first.repeatKey === row.repeatKey && first.bodyHash === row.bodyHash && first.version === row.version;
}

function eventIdOf(row: ReceiveRow, recorded: Recorded): string | undefined {
  if (recorded.kind === "stale") return undefined;
  return recorded.kind === "repeat" ? recorded.eventId : row.eventId;
}

/** A key of 128 bits as hex, distinct for each kind. */
export function dedupeKey(kind: "id" | "body" | "id+body", ...pieces: readonly (string | Buffer)[]): string {
  const hash = createHash("sha256").update(`${kind}\0`);
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex").slice(0, 32);
}
