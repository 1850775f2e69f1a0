/**
 * URLs that providers want fetched, at hosts of theirs. What became of each is remembered for a while, so that whoever
 * repeats a provider's message cannot make us fetch again and again.
 */
import { AppError } from "../errors.ts";
import type { KeyFetch } from "./published-keys.ts";

export interface UrlConfirmationsOptions {
  readonly fetch: KeyFetch;
  /** Fetches that are under way or remembered. */
  readonly max: number;
  /** How long a success is remembered, and a failure, milliseconds. */
  readonly rememberMs: number;
  readonly retryMs: number;
  readonly onFailure: (host: string, problem: unknown) => void;
}

export class UrlConfirmations {
  readonly #options: UrlConfirmationsOptions;
  /** Whether the URL could be fetched. */
  readonly #outcomes = new Map<string, { readonly outcome: Promise<boolean>; readonly untilMs: number }>();

  constructor(options: UrlConfirmationsOptions) {
    this.#options = options;
  }

  /** Whether the URL was answered with 2xx. Never rejects for what the host does; SERVICE_UNAVAILABLE if too many are. */
  async fetch(url: string): Promise<boolean> {
    const nowMs = performance.now();
    for (const [known, { untilMs }] of this.#outcomes) if (untilMs <= nowMs) this.#outcomes.delete(known);
    const known = this.#outcomes.get(url);
    if (known) return await known.outcome;
    if (this.#outcomes.size >= this.#options.max) {
      throw new AppError("SERVICE_UNAVAILABLE", "too many subscriptions are being confirmed; try again shortly");
    }
    const outcome = this.#fetch(url);
    this.#outcomes.set(url, { outcome, untilMs: Number.POSITIVE_INFINITY });
    const lastsMs = (await outcome) ? this.#options.rememberMs : this.#options.retryMs;
    this.#outcomes.set(url, { outcome, untilMs: performance.now() + lastsMs });
    return await outcome;
  }

  async #fetch(url: string): Promise<boolean> {
    try {
      const { status } = await this.#options.fetch({ url, post: undefined });
      if (status >= 200 && status < 300) return true;
      this.#options.onFailure(new URL(url).host, new Error(`it answered ${status}`));
    } catch (error) {
      this.#options.onFailure(new URL(url).host, error);
    }
    return false;
  }
}
