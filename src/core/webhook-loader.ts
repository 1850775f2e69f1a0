/**
 * Webhooks in memory, with their keys, for the receive path and the delivery worker.
 *
 * Look-ups are coalesced and spaced (`lookups.ts`), so that unknown ids and forged signatures at full speed cost a
 * bounded number of queries a second. A cached webhook may be stale: the statement that commits an event checks its
 * version.
 */
import type { Pool } from "pg";
import { findWebhooks, type WebhookRecord } from "../store/sql/lookup.ts";
import { type LookupOptions, Lookups } from "./lookups.ts";

export interface WebhookLoaderOptions<Value> extends Omit<LookupOptions<Value>, "read"> {
  readonly pool: Pool;
  /** Makes of a record what is kept in memory. */
  readonly prepare: (record: WebhookRecord) => Value;
  readonly entriesMax: number;
}

export class WebhookLoader<Value> {
  readonly #cache = new Map<string, Value>();
  readonly #lookups: Lookups<Value>;
  readonly #options: WebhookLoaderOptions<Value>;

  constructor(options: WebhookLoaderOptions<Value>) {
    this.#options = options;
    this.#lookups = new Lookups({ ...options, read: (ids) => this.#read(ids) });
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
    return this.#lookups.find(id);
  }

  async #read(ids: string[]): Promise<Map<string, Value>> {
    const records = await findWebhooks(this.#options.pool, ids);
    for (const id of ids) this.#cache.delete(id);
    return new Map([...records].map(([id, record]) => [id, this.#keep(id, record)]));
  }

  #keep(id: string, record: WebhookRecord): Value {
    if (this.#cache.size >= this.#options.entriesMax) {
      const oldest = this.#cache.keys().next().value;
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    const value = this.#options.prepare(record);
    this.#cache.set(id, value);
    return value;
  }
}
