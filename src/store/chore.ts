/**
 * One kind of work behind the scenes: now and then, and as soon as it is woken; never twice at the same time.
 *
 *   resting ──every so often, or woken──▶ at work ──▶ resting
 *                                          └─ woken meanwhile: once more
 */
import type { Logger } from "../observe/logger.ts";
import { onBehalfOfAll } from "./on-behalf.ts";

export interface ChoreOptions {
  readonly name: string;
  readonly logger: Logger;
  /** How long after the start it begins, and how often it then looks without being told, milliseconds. */
  readonly firstMs: number;
  readonly everyMs: number;
  /** Does what there is to do; the signal asks it to end after the step under way. */
  readonly work: (signal: AbortSignal) => Promise<void>;
}

export class Chore {
  readonly #options: ChoreOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(options: ChoreOptions) {
    this.#options = options;
  }

  start(): void {
    const { firstMs, everyMs } = this.#options;
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(() => this.wake(), everyMs).unref();
      this.wake();
    }, firstMs).unref();
  }

  /** Looks for work now. */
  wake(): void {
    if (this.#stopping.signal.aborted) return;
    this.#again = true;
    this.#running ??= onBehalfOfAll(() => this.#run()).finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    const { name, logger, work } = this.#options;
    while (this.#again && !this.#stopping.signal.aborted) {
      this.#again = false;
      try {
        await work(this.#stopping.signal);
      } catch (error) {
        logger.warn({ chore: name, err: error }, "work behind the scenes will be tried again");
      }
    }
  }

  /** Ends the step under way. May be called twice. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#timer);
    await this.#running;
  }
}
