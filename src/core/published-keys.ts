/**
 * Keys and certificates that vendors publish: fetched when a signature names one, kept for a while, and asked for again
 * in the background before they grow old. A verdict that needs one waits for it; one that cannot be had is a 503, never
 * an accept.
 *
 * Nobody can use us to fetch: the scheme pins the host, one fetch runs for each key, an unknown key is remembered as
 * such, and a webhook, and an organization with all of its webhooks, cause a bounded number of fetches a minute.
 */
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { type FetchedKey, isNeededKey, type KeyAnswer, type NeededKey } from "../signature/needed-key.ts";
import type { InboundRequest } from "../signature/request.ts";
import type { PreparedSecrets } from "../signature/source.ts";
import type { Verdict } from "../signature/verdict.ts";
import { verify } from "../signature/verify.ts";

/** Makes one request, bounded in size and time, and rejects where no complete answer comes. */
export type KeyFetch = (request: { readonly url: string; readonly post: string | undefined }) => Promise<KeyAnswer>;

export interface PublishedKeysOptions {
  readonly fetch: KeyFetch;
  readonly clock: Clock;
  /** PEM certificates at which a chain must end. */
  readonly roots: readonly string[];
  /** Keys in memory, the unknown ones among them. */
  readonly keysMax: number;
  /** How long a key counts, and from when on it is asked for again; how long an unknown one is not, milliseconds. */
  readonly ttlMs: number;
  readonly refreshMs: number;
  readonly unknownTtlMs: number;
  /** Fetches under way at once; fetches that one webhook, and one organization, cause in a minute. */
  readonly fetchesMax: number;
  readonly webhookFetchesPerMinuteMax: number;
  readonly organizationFetchesPerMinuteMax: number;
  /** Keys that one request may need. */
  readonly keysPerRequestMax: number;
  readonly onFailure: (url: string, error: unknown) => void;
}

interface Known {
  /** Null: the vendor knows no such key. */
  readonly key: FetchedKey | null;
  readonly untilMs: number;
  readonly refreshAtMs: number;
}

/** On whose account keys are fetched. */
export interface KeyAccount {
  readonly organizationId: string;
  /** Undefined for a captured request that belongs to none. */
  readonly webhookId: string | undefined;
}

/** Renewals have an account of their own, so that made-up keys cannot keep a known one from being asked for again. */
type FetchPurpose = "first" | "renewal";

/** What a judgement is about. */
export interface Judged {
  readonly source: CompiledSource;
  readonly secrets: PreparedSecrets;
  readonly request: InboundRequest;
  readonly nowMs: number;
  readonly account: KeyAccount;
}

const MINUTE_MS = 60_000;

export class PublishedKeys {
  readonly #options: PublishedKeysOptions;
  /** In the order in which they were fetched. */
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<void>>();
  /** Fetches of each webhook and organization in this minute. */
  #counts = new Map<string, number>();
  #countsSinceMs = 0;

  constructor(options: PublishedKeysOptions) {
    this.#options = options;
  }

  /** The verdict, once the keys that it needs are at hand. Rejects with SERVICE_UNAVAILABLE where one cannot be had. */
  async judge({ source, secrets, request, nowMs, account }: Judged): Promise<Verdict> {
    for (let keys = 0; keys <= this.#options.keysPerRequestMax; keys++) {
      const outcome = verify(source, secrets, request, nowMs, (needed) => this.#look(needed, account));
      if (!isNeededKey(outcome)) return outcome;
      await this.#fetch(outcome, account, "first");
    }
    throw new AppError("SERVICE_UNAVAILABLE", "the request names too many keys that are not at hand");
  }

  #look(needed: NeededKey, account: KeyAccount): FetchedKey | null | undefined {
    const known = this.#known.get(needed.keyId);
    const nowMs = this.#options.clock.now();
    if (known === undefined || nowMs >= known.untilMs) return undefined;
    if (nowMs >= known.refreshAtMs) void this.#fetch(needed, account, "renewal").catch(() => {});
    return known.key;
  }

  #fetch(needed: NeededKey, account: KeyAccount, purpose: FetchPurpose): Promise<void> {
    const running = this.#underWay.get(needed.keyId);
    if (running !== undefined) return running;
    if (!this.#admit(account, purpose)) {
      return Promise.reject(new AppError("SERVICE_UNAVAILABLE", "too many signing keys are being fetched; try again"));
    }
    const fetching = this.#fetchNow(needed).finally(() => this.#underWay.delete(needed.keyId));
    this.#underWay.set(needed.keyId, fetching);
    return fetching;
  }

  #admit({ organizationId, webhookId = "" }: KeyAccount, purpose: FetchPurpose): boolean {
    const { fetchesMax, webhookFetchesPerMinuteMax, organizationFetchesPerMinuteMax, clock } = this.#options;
    const nowMs = clock.now();
    if (Math.abs(nowMs - this.#countsSinceMs) >= MINUTE_MS) {
      this.#counts = new Map();
      this.#countsSinceMs = nowMs;
    }
    const organization = `${purpose} ${organizationId}`;
    const ofOrganization = this.#counts.get(organization) ?? 0;
    const webhook = `${organization} ${webhookId}`;
    const ofWebhook = this.#counts.get(webhook) ?? 0;
    if (this.#underWay.size >= fetchesMax) return false;
    if (ofOrganization >= organizationFetchesPerMinuteMax || ofWebhook >= webhookFetchesPerMinuteMax) return false;
    this.#counts.set(organization, ofOrganization + 1).set(webhook, ofWebhook + 1);
    return true;
  }

  async #fetchNow(needed: NeededKey): Promise<void> {
    const { fetch, clock, roots, ttlMs, refreshMs, unknownTtlMs, onFailure } = this.#options;
    try {
      const answer = await fetch({ url: needed.url, post: needed.post });
      const nowMs = clock.now();
      const key = needed.read(answer, { nowMs, roots }) ?? null;
      const lastsMs = key === null ? unknownTtlMs : ttlMs;
      this.#keep(needed.keyId, {
        key,
        untilMs: nowMs + lastsMs,
        refreshAtMs: nowMs + (key === null ? lastsMs : refreshMs),
      });
    } catch (error) {
      onFailure(needed.url, error);
      throw new AppError("SERVICE_UNAVAILABLE", "the provider's signing key could not be fetched; try again shortly", {
        cause: error,
      });
    }
  }

  /** Makes room by what is unknown first, so that made-up key ids push out no key that is. */
  #keep(keyId: string, known: Known): void {
    this.#known.delete(keyId);
    if (this.#known.size >= this.#options.keysMax) {
      const [oldest] = this.#known.keys();
      const unknown = [...this.#known].find(([, { key }]) => key === null)?.[0];
      this.#known.delete(unknown ?? oldest ?? "");
    }
    this.#known.set(keyId, known);
  }
}
