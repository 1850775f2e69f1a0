/**
 * Receiving at the URL that all webhooks of source linear share. The signature says whose a request is: a webhook
 * whose secret verifies it. A hint is tried first, then every other webhook, those without a hint before those with
 * one, in bounded work that clients share fairly; and a refusal is given only after what has changed meanwhile was
 * tried, too. From there on it is a receive like any other.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { isNeededKey } from "../signature/needed-key.ts";
import { findSource, prepareSecrets } from "../signature/source.ts";
import { refuseHead, verify } from "../signature/verify.ts";
import type { FairWork } from "./fair-work.ts";
import type { Inbound, InboundHead } from "./inbound.ts";
import { LinearHints, subscriptionOf } from "./linear-hints.ts";
import type { LinearEntry, LinearIndex } from "./linear-index.ts";
import { type Receipt, type Receiver, receiptOf } from "./receive.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { RefusedReceive } from "./refused-receive.ts";

export interface LinearReceiverOptions {
  readonly receiver: Receiver;
  readonly index: LinearIndex;
  readonly work: FairWork;
  readonly clock: Clock;
  readonly limits: {
    /** Linear webhooks that are remembered. */
    readonly linearHintsMax: number;
    /** Bytes that are hashed to find the webhook of one request. */
    readonly linearSearchBytesMax: number;
  };
}

const LINEAR = findSource("linear");
/** A secret that nobody has: what it refuses for another reason than its signature, every webhook would. */
const NOBODY = prepareSecrets(LINEAR, [randomBytes(32).toString("base64url")]);
/** What one comparison costs besides the hashing of the body, in bytes hashed. */
const COMPARISON_BYTES = 2_048;
/** The same for every sender that is not ours, whether a hint led anywhere or not. */
const NO_MATCH = "no signature matches under the secret of any webhook of source linear";

/** A request on its way to its webhook. */
interface Search {
  readonly inbound: Omit<Inbound, "webhookId">;
  readonly nowMs: number;
  /** Linear's id of its webhook, as the body seems to say. */
  readonly subscription: string | undefined;
}

export class LinearReceiver {
  readonly #options: LinearReceiverOptions;
  readonly #hints: LinearHints;
  /** Entries that a request has been verified for: their next one comes with a hint. */
  readonly #hinted = new WeakSet<LinearEntry>();

  constructor(options: LinearReceiverOptions) {
    this.#options = options;
    this.#hints = new LinearHints(options.limits.linearHintsMax);
  }

  /** Refuses what the head alone refuses. Throws UNAUTHORIZED. */
  admit({ request }: InboundHead): void {
    const refusal = refuseHead(LINEAR, request.header);
    if (refusal) throw new RefusedReceive("UNAUTHORIZED", refusal.check, refusal.reason);
  }

  /** As `Receiver.receive`, of the webhook whose secret signed the request. */
  async receive(inbound: Omit<Inbound, "webhookId">): Promise<Receipt> {
    const { index, clock } = this.#options;
    const search: Search = { inbound, nowMs: clock.now(), subscription: subscriptionOf(inbound.request.body) };
    const hinted = this.#hints.get(search.subscription);
    const known = await this.#firstMatch(hinted, search);
    const { generation } = index;
    const first = (known && (await this.#receiveAt(known, search))) ?? (await this.#searchAndReceive(0, search));
    if (isReceipt(first)) return first;
    await index.refresh();
    const second = (await this.#searchAndReceive(generation + 1, search)) ?? first;
    if (isReceipt(second)) return second;
    throw second ?? new RefusedReceive("UNAUTHORIZED", "signature", NO_MATCH, hinted[0]);
  }

  async #searchAndReceive(generation: number, search: Search): Promise<Receipt | RefusedReceive | undefined> {
    const found = await this.#search(generation, search);
    return found && (await this.#receiveAt(found, search));
  }

  async #firstMatch(ids: readonly string[], search: Search): Promise<LinearEntry | undefined> {
    const { index, work } = this.#options;
    const entries = ids.flatMap((id) => index.get(id) ?? []);
    const found = entries.find(({ webhook }) => isSignedFor(webhook, search));
    if (found?.webhook.record.status !== "disabled") return found;
    return await work.do(clientOf(search), firstOf(index.sharers(found), search));
  }

  /** A webhook of those loaded since `generation` whose secret signed the request. */
  async #search(generation: number, search: Search): Promise<LinearEntry | undefined> {
    const { index, work, limits } = this.#options;
    const { request } = search.inbound;
    const verdict = verify(LINEAR, NOBODY, request, search.nowMs);
    if (!isNeededKey(verdict) && !verdict.valid && verdict.check !== "signature") {
      throw new RefusedReceive("UNAUTHORIZED", verdict.check, verdict.reason);
    }
    const entries = this.#inOrder(index.loadedSince(generation));
    const most = Math.floor(limits.linearSearchBytesMax / (request.body.length + COMPARISON_BYTES));
    const steps = findSigner(index, entries.slice(0, most), search);
    const found = entries.length > 0 ? await work.do(clientOf(search), steps) : undefined;
    if (found) return found;
    if (entries.length > most) {
      const advice = "give Linear the webhook's own receive URL";
      throw new AppError("SERVICE_UNAVAILABLE", `the request is too large to look for its webhook; ${advice}`);
    }
    return undefined;
  }

  /** Those without a hint come first, because the others' requests bring theirs; and the newest of them. */
  #inOrder(entries: readonly LinearEntry[]): LinearEntry[] {
    const isNew = (entry: LinearEntry) => !this.#hinted.has(entry);
    const newestFirst = entries.toReversed();
    return [...newestFirst.filter(isNew), ...newestFirst.filter((entry) => !isNew(entry))];
  }

  /**
   * Undefined where the webhook has changed and the request is not its own any more; the refusal where it is disabled,
   * because another one may have the same secret.
   */
  async #receiveAt(
    entry: LinearEntry,
    { inbound, subscription }: Search,
  ): Promise<Receipt | RefusedReceive | undefined> {
    const webhookId = entry.webhook.record.id;
    try {
      const receipt = receiptOf(await this.#options.receiver.receive({ ...inbound, webhookId }));
      this.#hints.confirm(subscription, webhookId);
      this.#hinted.add(entry);
      return receipt;
    } catch (error) {
      if (error instanceof AppError && error.reason === "NOT_FOUND") return undefined;
      if (!(error instanceof RefusedReceive) || error.check === "timestamp") throw error;
      return error.check === "disabled" ? error : undefined;
    }
  }
}

const isReceipt = (outcome: Receipt | RefusedReceive | undefined): outcome is Receipt =>
  outcome !== undefined && !(outcome instanceof RefusedReceive);

const clientOf = ({ inbound }: Search): string => inbound.remote?.client ?? "";

/** A webhook whose secret signed the request, of several the one whose turn it is. */
function* findSigner(
  index: LinearIndex,
  entries: readonly LinearEntry[],
  search: Search,
): Generator<void, LinearEntry | undefined> {
  const found = yield* firstOf(entries, search);
  return found && ((yield* firstOf(index.sharers(found), search)) ?? found);
}

/** The first whose secret signed the request. One comparison is one step. */
function* firstOf(entries: readonly LinearEntry[], search: Search): Generator<void, LinearEntry | undefined> {
  for (const entry of entries) {
    if (isSignedFor(entry.webhook, search)) return entry;
    yield;
  }
  return undefined;
}

/** Whether the webhook's secret signed the body, however old it is. One that is verified in another way takes no part. */
function isSignedFor(webhook: ReceivingWebhook, { inbound, nowMs }: Search): boolean {
  if (webhook.source !== LINEAR) return false;
  const verdict = verify(webhook.source, webhook.keys(nowMs), inbound.request, nowMs);
  return !isNeededKey(verdict) && (verdict.valid || verdict.check === "timestamp");
}
