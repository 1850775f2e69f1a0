/**
 * Bounds of time at the port: one sweep over everything that is watched, rather than a timer for each request. A bound
 * is therefore kept to within one interval of the sweep.
 */
import { AppError } from "../errors.ts";
import { Roster } from "./roster.ts";

export interface BodyLimits {
  /** How long a body may take before its rate counts, milliseconds. */
  readonly bodyGraceMs: number;
  /** What must have come on average since then, bytes a second. */
  readonly bodyBytesPerSecondMin: number;
  /** How long the whole body may take, milliseconds. */
  readonly bodyTimeoutMs: number;
}

/** Anything that is looked at in every sweep. */
export interface Watched {
  /** `nowMs` is performance.now(). */
  sweep(nowMs: number): void;
}

/** One request body that is being read. Its reader reports each piece, and when it needs no more. */
export interface BodyWatch {
  read(bytes: number): void;
  /** May be called more than once. */
  done(): void;
}

export class Watchdog {
  readonly #watched = new Roster<Watched>();
  readonly #limits: BodyLimits & { readonly sweepIntervalMs: number };
  #bodies = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: BodyLimits & { readonly sweepIntervalMs: number }) {
    this.#limits = limits;
  }

  /** How many bodies are being read. */
  get bodies(): number {
    return this.#bodies;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#sweep(), this.#limits.sweepIntervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Watches until the function that it returns is called. */
  watch(watched: Watched): () => void {
    return this.#watched.add(watched);
  }

  /**
   * Watches a body of either HTTP version, or of a bare stream, from now on. `onLate` is called once, with a
   * REQUEST_TIMEOUT, if it comes too slowly: the reader then stops reading and answers with that error, or resets the
   * stream where an answer has begun.
   */
  watchBody(onLate: (error: AppError) => void): BodyWatch {
    const { bodyGraceMs, bodyBytesPerSecondMin, bodyTimeoutMs } = this.#limits;
    const startMs = performance.now();
    let bytes = 0;
    this.#bodies += 1;
    let isDone = false;
    const done = () => {
      if (isDone) return;
      isDone = true;
      this.#bodies -= 1;
      unwatch();
    };
    const unwatch = this.watch({
      sweep: (nowMs) => {
        const elapsedMs = nowMs - startMs;
        const dueBytes = ((elapsedMs - bodyGraceMs) / 1_000) * bodyBytesPerSecondMin;
        if (elapsedMs <= bodyTimeoutMs && (elapsedMs <= bodyGraceMs || bytes >= dueBytes)) return;
        done();
        onLate(new AppError("REQUEST_TIMEOUT", "the request's body came too slowly"));
      },
    });
    return {
      read: (count) => {
        bytes += count;
      },
      done,
    };
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const watched of this.#watched) watched.sweep(nowMs);
  }
}
