/** What claimed deliveries need for their first attempt, read in one go. */
import type { Pool } from "pg";
import type { ReceivingWebhook } from "../core/receiving-webhook.ts";
import type { ClaimedDelivery } from "../store/sql/claim.ts";
import { findEventContents } from "../store/sql/lookup.ts";
import type { Handed } from "./run.ts";

export interface ReadContents {
  readonly pool: Pool;
  readonly loadWebhook: (id: string) => Promise<ReceivingWebhook | undefined>;
  /** Larger bodies are left to be read one by one. */
  readonly smallBytesMax: number;
}

/** Content by event id, and the size of each event's body. */
export interface Contents {
  readonly sizes: ReadonlyMap<string, number>;
  readonly handed: ReadonlyMap<string, Handed>;
}

/** Reads for one claim after the other, though all at once: what is due for longest is at hand first. */
export class ContentReader {
  readonly #options: ReadContents;
  #before: Promise<unknown> = Promise.resolve();

  constructor(options: ReadContents) {
    this.#options = options;
  }

  /**
   * Resolves no sooner than the reads before it. Never rejects: what cannot be read now is left to its delivery, which
   * says what is the matter.
   */
  read(claimed: readonly ClaimedDelivery[]): Promise<Contents> {
    const before = this.#before;
    const reading = readContents(claimed, this.#options).then(async (contents) => {
      await before;
      return contents;
    });
    this.#before = reading.then(() => {});
    return reading;
  }
}

async function readContents(claimed: readonly ClaimedDelivery[], options: ReadContents): Promise<Contents> {
  const { pool, loadWebhook, smallBytesMax } = options;
  const [sizes, handed] = [new Map<string, number>(), new Map<string, Handed>()];
  try {
    const ids = [...new Set(claimed.map(({ webhookId }) => webhookId))];
    const [events, webhooks] = await Promise.all([
      findEventContents(pool, claimed, smallBytesMax),
      Promise.all(ids.map(async (id) => [id, await loadWebhook(id)] as const)),
    ]);
    const webhookOf = new Map(webhooks);
    for (const { eventId, webhookId } of claimed) {
      const { size = 0, content: event } = events.get(eventId) ?? {};
      const webhook = webhookOf.get(webhookId);
      sizes.set(eventId, size);
      if (webhook && event) handed.set(eventId, { webhook, event });
    }
  } catch {
    // As the sizes are not known, neither are the bodies here.
  }
  return { sizes, handed };
}
