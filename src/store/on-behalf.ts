/**
 * On whose behalf statements run: a call, whose end is theirs as well, or nobody in particular.
 *
 * The call travels with the asynchronous work that it starts, so that no function between the wire and a statement has
 * to hand it on. Work that several callers share, or that outlives the one who set it off, must leave it behind:
 * batches, coalesced look-ups, deliveries, maintenance, remembered answers.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** Its signal is read when a statement is sent, and no sooner. */
export interface Calling {
  readonly signal: AbortSignal;
}

const calling = new AsyncLocalStorage<Calling | undefined>();

/** Does work whose statements end with the call. */
export const onBehalfOf = <Result>(call: Calling, work: () => Result): Result => calling.run(call, work);

/** Does work whose statements no call ends. */
export const onBehalfOfAll = <Result>(work: () => Result): Result => calling.run(undefined, work);

/** The signal of the call on whose behalf this is done, if there is one. */
export const callSignal = (): AbortSignal | undefined => calling.getStore()?.signal;
