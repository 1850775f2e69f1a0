/** How fast a client takes its answers, and how often it may do what costs us more than it: two small measures. */
import type { Writable } from "node:stream";

export interface AnswerLimits {
  /** How long nothing of an answer may be taken, milliseconds. */
  readonly answerStallMs: number;
  /** What is added to that for what waits to be taken at once, bytes a second. */
  readonly answerBytesPerSecondMin: number;
}

/**
 * Whether an answer has stalled. What a stream still holds is known, but not how much of a piece has been taken:
 * a piece therefore has the time that it needs at the least rate, and `answerStallMs` more.
 */
export class AnswerPace {
  readonly #answer: Pick<Writable, "writableLength" | "on">;
  readonly #limits: AnswerLimits;
  /** Bytes that waited in the last sweep, and since when nothing has been taken. */
  #waiting = 0;
  #sinceMs = 0;
  #isFollowed = false;

  constructor(answer: Pick<Writable, "writableLength" | "on">, limits: AnswerLimits) {
    this.#answer = answer;
    this.#limits = limits;
  }

  isStalled(nowMs: number): boolean {
    const waiting = this.#answer.writableLength;
    const isMoving = this.#waiting === 0 || waiting < this.#waiting;
    this.#waiting = waiting;
    if (isMoving) {
      this.#sinceMs = nowMs;
      if (waiting > 0) this.#follow();
      return false;
    }
    const { answerStallMs, answerBytesPerSecondMin } = this.#limits;
    return nowMs - this.#sinceMs > answerStallMs + (waiting / answerBytesPerSecondMin) * 1_000;
  }

  /** One piece may be followed by another of the same size between two sweeps. */
  #follow(): void {
    if (this.#isFollowed) return;
    this.#isFollowed = true;
    this.#answer.on("drain", () => {
      this.#waiting = 0;
    });
  }
}

/** A right to do something that is used up by doing it and grows back: `burst` at once, `perSecond` in the long run. */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #atMs = performance.now();

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** Uses one up; false if there is none left. */
  take(): boolean {
    const nowMs = performance.now();
    this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#atMs) / 1_000) * this.#perSecond);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
