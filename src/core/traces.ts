/**
 * Traces of requests that were answered without becoming events, written behind the answers.
 *
 * What strangers cause must cost next to nothing: a webhook's traces are written once an interval at most, those of
 * all webhooks together in batches of bounded size and spacing, on a pool of their own. Between two writes one request
 * for each check and client is held, a few of each check; the rest are counted. What is over the bounds of memory is
 * lost, and the log says how much.
 */
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import type { HeaderList } from "../store/entities/event.ts";
import { onBehalfOfAll } from "../store/on-behalf.ts";
import { insertTraces, type TraceRow, type TraceSlots } from "../store/sql/traces.ts";
import { newId } from "./ids.ts";

/** One request of which a trace is left. */
export interface Trace {
  readonly organizationId: string;
  readonly webhookId: string;
  readonly check: string;
  readonly client: string;
  readonly receivedAtMs: number;
  readonly statusCode: number;
  readonly reason: string;
  readonly method: string;
  readonly remoteAddress: string;
  readonly headers: HeaderList;
  /** Its beginning; null where it was not read, or must not be kept. */
  readonly body: Buffer | null;
  readonly bodyTruncated: boolean;
  readonly size: number | null;
}

export interface TraceLimits {
  /** Least time between two writes for one webhook, and between two writes at all, milliseconds. */
  readonly traceIntervalMs: number;
  readonly traceBatchIntervalMs: number;
  /** Rows of one write. */
  readonly traceBatchRowsMax: number;
  /** Webhooks whose traces wait or that were written for within the interval; bytes that wait. */
  readonly traceWebhooksMax: number;
  readonly traceBytesMax: number;
  /** Rows kept of one webhook and check, and of one client among them. */
  readonly traceSlots: number;
  readonly traceClientSlots: number;
}

/** Of one check, different clients, at most so many between two writes; half of the slots, so that some outlast it. */
const CLIENTS_SHARE = 0.5;
/** Memory of a trace beside its body and headers, bytes. */
const TRACE_BYTES = 512;

/** How often the log may say that traces were lost, milliseconds. */
const LOST_INTERVAL_MS = 60_000;

type Waiting = TraceRow & { further: number };

/** What waits for one webhook, by check. */
interface Lane {
  readonly checks: Map<string, Waiting[]>;
  /** When the next write may be, by performance.now(). */
  readonly dueMs: number;
}

export class Traces {
  readonly #pool: Pool;
  readonly #logger: Logger;
  readonly #limits: TraceLimits;
  readonly #slots: TraceSlots;
  /** Webhooks that may be written for, and those that were within the interval, in the order in which it ends. */
  readonly #ready = new Map<string, Lane>();
  readonly #resting = new Map<string, Lane>();
  #bytes = 0;
  #lost = 0;
  #lostToldMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: { pool: Pool; logger: Logger; limits: TraceLimits }) {
    this.#pool = options.pool;
    this.#logger = options.logger;
    this.#limits = options.limits;
    this.#slots = { perCheck: options.limits.traceSlots, perClient: options.limits.traceClientSlots };
  }

  /** Bytes that wait to be written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Leaves a trace soon; `make` is called only if this request is one that is kept. Never throws, never waits. */
  leave(subject: Pick<Trace, "webhookId" | "check" | "client">, make: () => Trace): void {
    if (this.#stopped) return;
    const lane = this.#laneOf(subject.webhookId);
    const waiting = lane?.checks.get(subject.check) ?? [];
    const full = waiting.length >= Math.max(1, this.#limits.traceSlots * CLIENTS_SHARE);
    const counter = waiting.find((trace) => trace.client === subject.client) ?? (full ? waiting.at(-1) : undefined);
    if (counter) counter.further += 1;
    else if (!lane || this.#bytes >= this.#limits.traceBytesMax) this.#lose(waiting.at(-1));
    else {
      const trace = { id: newId(), ...make(), further: 0 };
      this.#bytes += bytesOf(trace);
      lane.checks.set(subject.check, [...waiting, trace]);
    }
    this.#running ??= onBehalfOfAll(() => this.#run());
  }

  /** Writes what waits, without regard to the intervals, and takes no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#wakeRested(Number.POSITIVE_INFINITY);
    while (this.#ready.size > 0) await this.#write();
  }

  #laneOf(webhookId: string): Lane | undefined {
    const known = this.#ready.get(webhookId) ?? this.#resting.get(webhookId);
    if (known) return known;
    if (this.#ready.size + this.#resting.size >= this.#limits.traceWebhooksMax) return undefined;
    const lane: Lane = { checks: new Map(), dueMs: 0 };
    this.#ready.set(webhookId, lane);
    return lane;
  }

  #lose(counter: Waiting | undefined): void {
    if (counter) counter.further += 1;
    else this.#lost += 1;
  }

  /** Writes until nothing waits and no interval is under way. */
  async #run(): Promise<void> {
    await turn();
    while (this.#ready.size + this.#resting.size > 0 && !this.#stopped) {
      const startMs = performance.now();
      this.#wakeRested(startMs);
      await this.#write();
      this.#tellLost();
      const restMs = startMs + this.#limits.traceBatchIntervalMs - performance.now();
      if (restMs > 0) await sleep(restMs, undefined, { ref: false });
    }
    this.#running = undefined;
  }

  #wakeRested(nowMs: number): void {
    for (const [id, lane] of this.#resting) {
      if (lane.dueMs > nowMs) break;
      this.#resting.delete(id);
      if (lane.checks.size > 0) this.#ready.set(id, lane);
    }
  }

  /** Writes what waits of the first webhooks that may be written for. */
  async #write(): Promise<void> {
    const rows: Waiting[] = [];
    const dueMs = performance.now() + this.#limits.traceIntervalMs;
    for (const [id, lane] of this.#ready) {
      if (rows.length >= this.#limits.traceBatchRowsMax) break;
      for (const waiting of lane.checks.values()) rows.push(...waiting);
      this.#ready.delete(id);
      this.#resting.set(id, { checks: new Map(), dueMs });
    }
    this.#bytes -= rows.reduce((sum, row) => sum + bytesOf(row), 0);
    if (rows.length === 0) return;
    // Not worth another try: while the store is down nothing is refused, because a refusal needs a fresh read.
    await insertTraces(this.#pool, rows, this.#slots).catch((err: unknown) =>
      this.#logger.warn({ err, traces: rows.length }, "traces of refused requests were not written"),
    );
  }

  #tellLost(): void {
    const nowMs = performance.now();
    if (this.#lost === 0 || nowMs - this.#lostToldMs < LOST_INTERVAL_MS) return;
    this.#logger.warn({ requests: this.#lost }, "refused requests left no trace: too many at once");
    this.#lost = 0;
    this.#lostToldMs = nowMs;
  }
}

function bytesOf({ headers, body }: Trace | TraceRow): number {
  const headerBytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return TRACE_BYTES + headerBytes + (body?.length ?? 0);
}
