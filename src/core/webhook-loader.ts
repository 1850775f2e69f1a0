/**
 * Webhooks in memory, with their keys, for the receive path and the delivery worker.
 *
 * Look-ups are coalesced: one query runs at a time and takes every id that was asked for before it started, so that
 * any number of unknown ids or forged signatures costs one query at a time, and a bounded number of them a second: the
 * next one begins no sooner than an interval after the last began, or at once where the last is longer ago. A fresh
 * read never answers with what was read before it was asked for. A cached webhook may be stale: the statement that commits an event checks its version.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import { unavailable } from "../store/batch-errors.ts";
import { onBehalfOfAll } from "../store/on-behalf.ts";
import { findWebhooks, type WebhookRecord } from "../store/sql/lookup.ts";

interface Waiting<Value> {
  readonly id: string;
  readonly resolve: (value: Value | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class WebhookLoader<Value> {
  readonly #cache = new Map<string, Value>();
  readonly #pool: Pool;
  readonly #prepare: (record: WebhookRecord) => Value;
  readonly #entriesMax: number;
  readonly #batchMax: number;
  readonly #intervalMs: number;
  #waiting: Waiting<Value>[] = [];
  #running = false;
  /** When the next query may begin, by performance.now(). */
  #nextMs = 0;

  /** `prepare` makes of a record what is kept in memory. */
  constructor(options: {
    pool: Pool;
    prepare: (record: WebhookRecord) => Value;
    entriesMax: number;
    batchMax: number;
    intervalMs: number;
  }) {
    this.#pool = options.pool;
    this.#prepare = options.prepare;
    this.#entriesMax = options.entriesMax;
    this.#batchMax = options.batchMax;
    this.#intervalMs = options.intervalMs;
  }

  /** The webhook as last read, if it is in memory. */
  peek(id: string): Value | undefined {
    return this.#cache.get(id);
  }

  /** The webhook as last read; reads it if it is not in memory. Undefined if there is none (never remembered). */
  async get(id: string): Promise<Value | undefined> {
    return this.peek(id) ?? (await this.refresh(id));
  }

  /** The webhook as it is now. Rejects with SERVICE_UNAVAILABLE if the store cannot be read. */
  refresh(id: string): Promise<Value | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const waitMs = this.#nextMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      this.#nextMs = performance.now() + this.#intervalMs;
      await this.#readBatch(this.#waiting.splice(0, this.#batchMax));
    }
    this.#running = false;
  }

  async #readBatch(batch: Waiting<Value>[]): Promise<void> {
    try {
      const ids = [...new Set(batch.map((waiting) => waiting.id))];
      const records = await onBehalfOfAll(() => findWebhooks(this.#pool, ids));
      const values = new Map(ids.map((id) => [id, this.#keep(id, records.get(id))]));
      for (const waiting of batch) waiting.resolve(values.get(waiting.id));
    } catch (error) {
      for (const waiting of batch) waiting.reject(unavailable(error));
    }
  }

  #keep(id: string, record: WebhookRecord | undefined): Value | undefined {
    this.#cache.delete(id);
    if (!record) return undefined;
    if (this.#cache.size >= this.#entriesMax) {
      const oldest = this.#cache.keys().next().value;
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    const value = this.#prepare(record);
    this.#cache.set(id, value);
    return value;
  }
}
