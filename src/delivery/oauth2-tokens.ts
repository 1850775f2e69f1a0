/**
 * Tokens of the client credentials grant (RFC 6749 §4.4), in memory, one for each destination.
 *
 * none ─fetch─▶ held ─soon to expire─▶ held while the next is fetched ─▶ held
 *                 └─expired, or the destination answers 401─▶ none
 *
 * One fetch runs for a destination, whoever waits for it. After a failure the endpoint is left alone for a moment, in
 * which everybody gets the same answer; a token that is refused within such a moment after its issue stands as well, so
 * that a destination which refuses all of them costs the endpoint no more. Other settings are another token. Bounds:
 * destinations, answer, time of a fetch.
 */
import type { Clock } from "../clock.ts";
import type { OAuth2Settings } from "../core/destination-credentials.ts";
import { type Fetched, fetchBounded } from "../outbound/fetch.ts";
import type { HttpClient } from "../outbound/http-client.ts";
import { parseTokenAnswer, type TokenAnswer, tokenRequest } from "./oauth2-grant.ts";

/** Times in milliseconds, sizes in bytes. */
export interface OAuth2Limits {
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
  readonly destinationsMax: number;
  /** How long an endpoint is left alone after a failure, or a token that it has just issued is not replaced. */
  readonly restMs: number;
}

/** A token to send, or why there is none. */
export type TokenResult =
  | { readonly ok: true; readonly token: string }
  | { readonly ok: false; readonly message: string };

interface Held {
  readonly token: string;
  readonly issuedAtMs: number;
  readonly refreshAtMs: number;
  readonly expiresAtMs: number;
}

interface Entry {
  readonly settings: OAuth2Settings;
  held: Held | null;
  failed: { readonly message: string; readonly untilMs: number } | null;
  fetching: Promise<TokenAnswer> | null;
}

/** A token is fetched anew when this share of its life is left, and this long before its end at the most. */
const REFRESH_SHARE = 0.2;
const REFRESH_MS_MAX = 60_000;

export class OAuth2Tokens {
  readonly #client: HttpClient;
  readonly #clock: Clock;
  readonly #limits: OAuth2Limits;
  /** By destination, the one used last at the end. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: { client: HttpClient; clock: Clock; limits: OAuth2Limits }) {
    this.#client = options.client;
    this.#clock = options.clock;
    this.#limits = options.limits;
  }

  /** A token for the destination. Rejects with the signal's reason if it aborts first; the fetch goes on for others. */
  async token(destinationId: string, settings: OAuth2Settings, signal: AbortSignal): Promise<TokenResult> {
    const entry = this.#entryOf(destinationId, settings);
    const nowMs = this.#clock.now();
    const { held, failed } = entry;
    if (held !== null && nowMs < held.expiresAtMs) {
      if (nowMs >= held.refreshAtMs && (failed === null || nowMs >= failed.untilMs)) void this.#fetch(entry);
      return { ok: true, token: held.token };
    }
    if (failed !== null && nowMs < failed.untilMs) return { ok: false, message: failed.message };
    return await beforeAbort(this.#fetch(entry), signal);
  }

  /** The destination has refused the token: the next one to ask gets another, unless this one is new. */
  refuse(destinationId: string, token: string): void {
    const entry = this.#entries.get(destinationId);
    if (entry?.held?.token !== token) return;
    if (this.#clock.now() - entry.held.issuedAtMs >= this.#limits.restMs) entry.held = null;
  }

  #entryOf(destinationId: string, settings: OAuth2Settings): Entry {
    const found = this.#entries.get(destinationId);
    const entry =
      found !== undefined && isSame(found.settings, settings)
        ? found
        : { settings, held: null, failed: null, fetching: null };
    this.#entries.delete(destinationId);
    this.#entries.set(destinationId, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#limits.destinationsMax && oldest !== undefined) this.#entries.delete(oldest);
    return entry;
  }

  /** Never rejects. */
  #fetch(entry: Entry): Promise<TokenAnswer> {
    entry.fetching ??= this.#fetchNow(entry).finally(() => {
      entry.fetching = null;
    });
    return entry.fetching;
  }

  async #fetchNow(entry: Entry): Promise<TokenAnswer> {
    const { timeoutMs, answerBytesMax, restMs } = this.#limits;
    const { headers, body } = tokenRequest(entry.settings);
    const peer = "The token endpoint";
    const options = { method: "POST", headers, body, timeoutMs, bodyBytesMax: answerBytesMax, peer } as const;
    const answer = judge(await fetchBounded(this.#client, entry.settings.tokenUrl, options));
    const nowMs = this.#clock.now();
    if (answer.ok) {
      const aheadMs = Math.min(answer.lifeMs * REFRESH_SHARE, REFRESH_MS_MAX);
      const expiresAtMs = nowMs + answer.lifeMs;
      entry.held = { token: answer.token, issuedAtMs: nowMs, refreshAtMs: expiresAtMs - aheadMs, expiresAtMs };
      entry.failed = null;
    } else {
      entry.failed = { message: answer.message, untilMs: nowMs + restMs };
    }
    return answer;
  }
}

function judge(fetched: Fetched): TokenAnswer {
  return fetched.ok
    ? parseTokenAnswer(fetched.statusCode, fetched.body)
    : { ok: false, message: fetched.failure.message };
}

function isSame(one: OAuth2Settings, other: OAuth2Settings): boolean {
  return (Object.keys(one) as (keyof OAuth2Settings)[]).every((key) => one[key] === other[key]);
}

async function beforeAbort<Value>(pending: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([pending, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
