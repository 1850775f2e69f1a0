/** Streams that anybody may open and that go on for as long as the client likes: how many there may be, and their end. */
import type { HandlerContext } from "@connectrpc/connect";
import { AppError } from "../errors.ts";
import { incomingKey } from "./context.ts";

export interface EndlessStreamLimits {
  /** Such streams of all clients. */
  readonly endlessStreamsMax: number;
  /** Such streams of one client: connections are too cheap to count by them. */
  readonly endlessStreamsPerClientMax: number;
  /** How long one may last, milliseconds: whose client is gone unnoticed ends as well. */
  readonly endlessStreamMsMax: number;
}

export class EndlessStreams {
  readonly #limits: EndlessStreamLimits;
  readonly #clients = new Map<string, number>();
  #open = 0;

  constructor(limits: EndlessStreamLimits) {
    this.#limits = limits;
  }

  /** Streams open now. */
  get open(): number {
    return this.#open;
  }

  /**
   * Runs the body of a stream, which has to end when its signal aborts: the call is over, has lasted as long as it may,
   * or the service is about to stop. Throws TOO_MANY_REQUESTS where too many are open.
   */
  async *run<Item>(
    context: HandlerContext,
    body: (signal: AbortSignal) => AsyncIterable<Item>,
  ): AsyncGenerator<Item, void> {
    const leave = this.#enter(context.values.get(incomingKey).client);
    const age = new AbortController();
    const timer = setTimeout(() => age.abort(), this.#limits.endlessStreamMsMax);
    try {
      yield* body(AbortSignal.any([context.signal, context.values.get(incomingKey).stopping, age.signal]));
    } finally {
      clearTimeout(timer);
      leave();
    }
  }

  #enter(client: string): () => void {
    const ofClient = this.#clients.get(client) ?? 0;
    const { endlessStreamsMax, endlessStreamsPerClientMax } = this.#limits;
    if (this.#open >= endlessStreamsMax || ofClient >= endlessStreamsPerClientMax) {
      throw new AppError("TOO_MANY_REQUESTS", "too many streams of this kind are open; close one, or try again later");
    }
    this.#open += 1;
    this.#clients.set(client, ofClient + 1);
    return () => {
      this.#open -= 1;
      const left = (this.#clients.get(client) ?? 0) - 1;
      if (left > 0) this.#clients.set(client, left);
      else this.#clients.delete(client);
    };
  }
}

/** What `work` resolves to, or undefined as soon as the signal aborts. Leaves nothing behind on the signal. */
export function orAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(undefined);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
