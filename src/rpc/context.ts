/** What a call carries besides its message: who makes it and under which origin it came. */
import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Caller } from "../core/caller.ts";
import { AppError } from "../errors.ts";

export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });
/**
 * Tells that the answer of a call has been sent or given up. It does not know the answer: the values of a call outlive it
 * in the heap, and what they hold the garbage collector moves along.
 */
export class AnswerEnd {
  #isReached = false;
  #listener: (() => void) | undefined;

  /** Calls the listener at the end, or now if that has come. Each call has one listener. */
  listen(listener: () => void): void {
    if (this.#isReached) listener();
    else this.#listener = listener;
  }

  reach(): void {
    this.#isReached = true;
    this.#listener?.();
    this.#listener = undefined;
  }
}

/** How a call came to us. */
export interface Incoming {
  /** The origin under which the caller reached us. */
  readonly origin: string;
  /** The client's address, and the client as the caps count it. */
  readonly address: string;
  readonly client: string;
  /** Aborts when the service is about to stop: streams that would go on for ever end then; calls that end by themselves do not. */
  readonly stopping: AbortSignal;
  /** Undefined where nobody tells of it. */
  readonly answerEnd: AnswerEnd | undefined;
}

const FROM_NOWHERE: Incoming = {
  origin: "",
  address: "",
  client: "",
  stopping: new AbortController().signal,
  answerEnd: undefined,
};

export const incomingKey = createContextKey<Incoming>(FROM_NOWHERE, { description: "how it came" });

/** The authenticated caller. Fails closed where no gate has run. */
export function callerOf(context: HandlerContext): Caller {
  const caller = context.values.get(callerKey);
  if (!caller) throw new AppError("UNAUTHORIZED", "send an API key: Authorization: Bearer alm_live_…");
  return caller;
}
