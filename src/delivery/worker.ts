/**
 * The delivery loop.
 *
 *   committed by this process ──reserve/start──▶ run ──▶ recorded: finished, or back in the queue
 *   due in the queue ─────────────claim────────▶ run
 *
 * The database row is the truth; memory only makes it fast. Bounds: attempts under way (slots), runs in memory, rows
 * of a claim. Leases are extended while an attempt is under way; a run whose lease is lost is aborted.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { HandedOver, Handover } from "../core/handover.ts";
import { onBehalfOfAll } from "../store/on-behalf.ts";
import type { ClaimedDelivery } from "../store/sql/claim.ts";
import { extendLeases, giveBackLeases } from "../store/sql/lease.ts";
import { Alarm } from "./alarm.ts";
import { ByteBudget } from "./byte-budget.ts";
import { Circuits, type CircuitsOptions } from "./circuits.ts";
import { Claims, type ClaimsOptions } from "./claims.ts";
import { Completions, STORE_REST_MS } from "./completions.ts";
import { ContentReader, type ReadContents } from "./contents.ts";
import type { ForwardSettings } from "./forward.ts";
import { Occupancy, type OccupancyLimits, type Occupant } from "./occupancy.ts";
import { Place } from "./place.ts";
import { OutcomeLostError, type RunContext, type RunJob, runDelivery, type Start } from "./run.ts";
import { Slots } from "./slots.ts";

/** The loop turns every second; one that has not for this long is stuck, milliseconds. */
const ALIVE_MS_MAX = 15_000;
/** How long a stop waits beyond its grace for what the end of the grace cut short, milliseconds. */
const STOP_SLACK_MS = 3_000;

export interface WorkerOptions extends ReadContents, ClaimsOptions, CircuitsOptions {
  readonly forward: ForwardSettings;
  readonly occupancy: OccupancyLimits;
  /** Bytes of bodies in memory. */
  readonly bytesMax: number;
  readonly runsMax: number;
  readonly quickDelayMsMax: number;
  readonly completeRowsMax: number;
  readonly batchRetriesMax: number;
  readonly random?: () => number;
}

/** Attempts in slots, deliveries in memory, and bytes of their bodies. */
export type UnderWay = Readonly<Record<"attempts" | "runs" | "bytes", number>>;

export interface WorkerCounts {
  readonly underWay: UnderWay;
  readonly underWayMax: UnderWay;
  readonly completionsWaiting: number;
}

interface Run {
  readonly job: RunJob;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

export class DeliveryWorker implements Handover {
  readonly #options: WorkerOptions;
  readonly #slots: Slots;
  readonly #bytes: ByteBudget;
  readonly #occupancy: Occupancy;
  readonly #claims: Claims;
  readonly #circuits: Circuits;
  readonly #completions: Completions;
  readonly #contents: ContentReader;
  /** By lease token: a worker may take a delivery over from itself. */
  readonly #runs = new Map<string, Run>();
  /** Deliveries about to be committed, by lease token. */
  readonly #reserved = new Map<string, { readonly place: Place; readonly bytes: number }>();
  readonly #alarm = new Alarm();
  readonly #stopping = new AbortController();
  /** Aborted when the grace of a stop has ended. */
  readonly #overdue = new AbortController();
  #loop: Promise<void> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #backlog = false;
  #lastTurnMs = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { max, destinationMax, lineMax } = options.occupancy;
    this.#slots = new Slots(max, destinationMax);
    this.#bytes = new ByteBudget(options.bytesMax);
    this.#occupancy = new Occupancy(options.occupancy);
    this.#claims = new Claims(options, this.#occupancy);
    this.#circuits = new Circuits(options);
    this.#contents = new ContentReader(options);
    this.#completions = new Completions({
      ...options,
      // Every run submits one completion at a time, so the runs bound the queue.
      queueRowsMax: options.runsMax + max + lineMax,
      overdue: this.#overdue.signal,
    });
  }

  /** Begins to claim. May be called twice. */
  start(): void {
    if (this.#loop) return;
    this.#loop = this.#claimLoop();
    this.#heartbeat = setInterval(() => void this.#extend(), Math.max(this.#options.leaseMs / 3, 50));
    this.#heartbeat.unref();
  }

  /** Whether the loop has turned lately. */
  get alive(): boolean {
    return this.#loop !== undefined && performance.now() - this.#lastTurnMs < ALIVE_MS_MAX;
  }

  /** What is under way, how much of it may be, and the attempts that wait to be recorded. */
  get counts(): WorkerCounts {
    const { occupancy, runsMax, bytesMax } = this.#options;
    return {
      underWay: { attempts: this.#slots.used, runs: this.#runs.size, bytes: this.#bytes.held },
      underWayMax: { attempts: occupancy.max, runs: runsMax, bytes: bytesMax },
      completionsWaiting: this.#completions.waiting,
    };
  }

  reserve(occupant: Occupant, bytes: number): string | null {
    if (!this.#loop || this.#stopping.signal.aborted || this.#runs.size >= this.#options.runsMax) return null;
    if (!this.#occupancy.admits(occupant) || !this.#bytes.tryTake(bytes)) return null;
    const token = randomUUID();
    this.#reserved.set(token, { place: this.#enter(occupant), bytes });
    return token;
  }

  isStuck(occupant: Occupant): boolean {
    return this.#occupancy.isStuck(occupant);
  }

  cancel(leaseToken: string): void {
    const reserved = this.#reserved.get(leaseToken);
    if (!reserved) return;
    this.#reserved.delete(leaseToken);
    this.#bytes.give(reserved.bytes);
    reserved.place.leave();
  }

  wake(fed?: Occupant): void {
    this.#claims.lookAtLanes(fed && [fed]);
    this.#alarm.ring();
  }

  take({ webhook, event, ...ids }: HandedOver): void {
    const place = this.#reserved.get(ids.leaseToken)?.place ?? this.#enter(ids);
    this.#reserved.delete(ids.leaseToken);
    const first = { number: 1, step: 1, manual: false, resumes: false, trigger: "scheduled", lateMs: 0 } as const;
    const direct = { laned: false, probe: false };
    const start = { bytes: event.body.length, handed: { webhook, event } };
    onBehalfOfAll(() => this.#run({ ...ids, ...first, ...direct, eventId: event.id }, place, start));
  }

  #enter(occupant: Occupant): Place {
    return new Place(this.#occupancy, occupant, () => {
      if (this.#backlog) this.#alarm.ring();
    });
  }

  #run(job: RunJob, place: Place, start: Start | Promise<Start>): void {
    const abort = new AbortController();
    const ended = runDelivery(job, this.#contextOf(abort.signal, place), start)
      .catch((error) => this.#giveUp(job, error))
      .finally(() => {
        this.#runs.delete(job.leaseToken);
        if (job.laned) this.wake();
        place.leave();
      });
    this.#runs.set(job.leaseToken, { job, abort, ended });
  }

  /**
   * A run ended by the store's failure: a delivery whose attempt was not made goes back as it was; any other is taken
   * over when its lease ends.
   */
  async #giveUp(job: RunJob, error: unknown): Promise<void> {
    const { pool, leaseMs, logger } = this.#options;
    logger.error({ delivery: job.deliveryId, err: error }, "a delivery run failed");
    if (error instanceof OutcomeLostError) return;
    if (!this.#overdue.signal.aborted)
      await sleep(STORE_REST_MS, undefined, { signal: this.#overdue.signal }).catch(() => {});
    await giveBackLeases(pool, [job], leaseMs).catch(() => {});
  }

  #contextOf(signal: AbortSignal, place: Place): RunContext {
    const { forward, leaseMs, quickDelayMsMax, random = Math.random } = this.#options;
    return {
      ...this.#options,
      slots: this.#slots,
      bytes: this.#bytes,
      settings: forward,
      quickDelayMsMax: Math.min(quickDelayMsMax, leaseMs),
      random,
      signal,
      stopping: this.#stopping.signal,
      complete: (attempt) => this.#completions.record(attempt),
      onOutcome: (job, outcome) => this.#circuits.note(job, outcome),
      place,
    };
  }

  async #claimLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#lastTurnMs = performance.now();
      const rang = this.#alarm.next();
      const restMs = await this.#turn().catch((error) => {
        this.#options.logger.error({ err: error }, "the delivery loop could not claim");
        return STORE_REST_MS;
      });
      if (restMs > 0) await this.#alarm.wait(rang, restMs);
    }
  }

  /** Claims what there is room for; resolves to how long to rest. */
  async #turn(): Promise<number> {
    const { runsMax } = this.#options;
    const { destinations, organizations } = this.#occupancy.saturated();
    const isFull = this.#occupancy.claimable <= 0 || this.#runs.size >= runsMax;
    this.#backlog = isFull || destinations.length > 0 || organizations.length > 0;
    return await this.#claims.take(runsMax - this.#runs.size, (claimed) => this.#begin(claimed));
  }

  /** The loop goes on while what they need is read. */
  #begin(claimed: readonly ClaimedDelivery[]): void {
    const reading = this.#contents.read(claimed);
    for (const delivery of claimed) {
      const place = this.#enter(delivery);
      const start = reading.then(({ sizes, handed }) => {
        const [bytes, content] = [sizes.get(delivery.eventId) ?? 0, handed.get(delivery.eventId)];
        return { bytes, handed: content && this.#bytes.tryTake(bytes) ? content : undefined };
      });
      this.#run(delivery, place, start);
    }
  }

  async #extend(): Promise<void> {
    const jobs = [...this.#runs.values()].map((run) => run.job);
    if (jobs.length === 0) return;
    try {
      const held = await extendLeases(this.#options.pool, jobs, this.#options.leaseMs);
      for (const job of jobs) if (!held.has(job.leaseToken)) this.#abandon(job);
    } catch (error) {
      this.#options.logger.warn({ err: error }, "leases could not be extended");
    }
  }

  /** Another worker has the delivery, or it is gone: whatever this run still does would not count. */
  #abandon(job: RunJob): void {
    this.#runs.get(job.leaseToken)?.abort.abort();
  }

  /**
   * Stops claiming, lets attempts under way end for up to `graceMs`, gives leases back. Returns a little after the
   * grace at the latest, even if the store does not answer; then leases end by themselves. Resolves to how many
   * deliveries it cut off. May be called twice.
   */
  async stop(graceMs: number): Promise<number> {
    let cut = 0;
    this.#stopping.abort();
    this.#slots.open();
    this.#alarm.ring();
    const grace = setTimeout(() => {
      this.#overdue.abort();
      cut = this.#runs.size;
      for (const run of this.#runs.values()) run.abort.abort();
    }, graceMs);
    const latest = new AbortController();
    await Promise.race([
      this.#settled(),
      sleep(graceMs + STOP_SLACK_MS, undefined, { signal: latest.signal }).catch(() => {}),
    ]);
    latest.abort();
    clearTimeout(grace);
    clearInterval(this.#heartbeat);
    return cut;
  }

  async #settled(): Promise<void> {
    await this.#loop;
    await Promise.all([...this.#runs.values()].map((run) => run.ended));
    await this.#completions.drain();
  }
}
