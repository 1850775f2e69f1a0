/**
 * The webhooks of source linear in memory, of all organizations, for the URL that they share. A refresh reads the
 * versions of all and loads what has changed; refreshes are coalesced, and take a tenth of the time at most, so that
 * requests that match nothing cannot keep the store busy.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import { unavailable } from "../store/batch-errors.ts";
import { onBehalfOfAll } from "../store/on-behalf.ts";
import { listLinearWebhooks } from "../store/sql/linear.ts";
import { findWebhooks, type WebhookRecord } from "../store/sql/lookup.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";

export interface LinearIndexLimits {
  /** Webhooks in memory: of one organization, and of all. */
  readonly linearWebhooksPerOrganizationMax: number;
  readonly linearWebhooksMax: number;
  /** Ids that one query asks for. */
  readonly lookupBatchMax: number;
  /** Least time from the beginning of one refresh to that of the next, milliseconds. */
  readonly webhookLookupIntervalMs: number;
}

export interface LinearEntry {
  readonly webhook: ReceivingWebhook;
  /** The refresh that loaded it. */
  readonly generation: number;
  /** Hashes of its inbound secrets, by which those are found that share one. */
  readonly hashes: readonly string[];
}

/** How long refreshes rest, in times of what the last one took. */
const REST = 9;

export class LinearIndex {
  readonly #pool: Pool;
  readonly #prepare: (record: WebhookRecord) => ReceivingWebhook;
  readonly #limits: LinearIndexLimits;
  readonly #entries = new Map<string, LinearEntry>();
  #generation = 0;
  #waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #running = false;
  /** When the next refresh may begin, by performance.now(). */
  #nextMs = 0;

  constructor(options: {
    pool: Pool;
    prepare: (record: WebhookRecord) => ReceivingWebhook;
    limits: LinearIndexLimits;
  }) {
    this.#pool = options.pool;
    this.#prepare = options.prepare;
    this.#limits = options.limits;
  }

  /** The last refresh that has loaded anything. */
  get generation(): number {
    return this.#generation;
  }

  get(id: string): LinearEntry | undefined {
    return this.#entries.get(id);
  }

  /** Those that this refresh or a later one has loaded, in the order in which they were. */
  loadedSince(generation: number): LinearEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.generation >= generation);
  }

  /**
   * Those of one of whose inbound secrets this webhook has one, itself included. Of those with one secret the oldest has
   * its requests, on every replica, but for disabled ones: they come in this order.
   */
  sharers({ hashes }: LinearEntry): LinearEntry[] {
    const sharers = [...this.#entries.values()].filter((entry) => entry.hashes.some((hash) => hashes.includes(hash)));
    const byAge = sharers.toSorted((a, b) => (a.webhook.record.id < b.webhook.record.id ? -1 : 1));
    return [...byAge.filter((entry) => !isDisabled(entry)), ...byAge.filter(isDisabled)];
  }

  /** Resolves once everything is here as it was at some time after the call. Rejects with SERVICE_UNAVAILABLE. */
  refresh(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.#running) void onBehalfOfAll(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const waitMs = this.#nextMs - performance.now();
      if (waitMs > 0) await sleep(waitMs, undefined, { ref: false });
      const startMs = performance.now();
      const waiting = this.#waiting.splice(0);
      try {
        await this.#read();
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        for (const { reject } of waiting) reject(unavailable(error));
      }
      const endMs = performance.now();
      this.#nextMs = Math.max(startMs + this.#limits.webhookLookupIntervalMs, endMs + REST * (endMs - startMs));
    }
    this.#running = false;
  }

  async #read(): Promise<void> {
    const { linearWebhooksMax, linearWebhooksPerOrganizationMax, lookupBatchMax } = this.#limits;
    const bounds = { perOrganization: linearWebhooksPerOrganizationMax, total: linearWebhooksMax };
    const listed = await listLinearWebhooks(this.#pool, bounds);
    const ids = new Set(listed.map(({ id }) => id));
    const changed = listed.filter(({ id, version }) => this.#entries.get(id)?.webhook.record.version !== version);
    const records: WebhookRecord[] = [];
    for (let at = 0; at < changed.length; at += lookupBatchMax) {
      const batch = changed.slice(at, at + lookupBatchMax).map(({ id }) => id);
      records.push(...(await findWebhooks(this.#pool, batch)).values());
    }
    // All at once: whoever looks meanwhile has seen all or nothing of a generation.
    if (records.length > 0) this.#generation += 1;
    for (const id of this.#entries.keys()) if (!ids.has(id)) this.#entries.delete(id);
    for (const record of records.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      this.#entries.delete(record.id);
      if (record.source !== "linear") continue;
      this.#entries.set(record.id, {
        webhook: this.#prepare(record),
        generation: this.#generation,
        hashes: hashesOf(record),
      });
    }
  }
}

const isDisabled = ({ webhook }: LinearEntry): boolean => webhook.record.status === "disabled";

const hashesOf = ({ secrets }: WebhookRecord): string[] =>
  secrets.filter(({ purpose }) => purpose === "receive").map(({ hash }) => hash.toString("base64"));
