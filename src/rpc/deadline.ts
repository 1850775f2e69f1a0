/** The end of a call that its caller no longer waits for. */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/**
 * Answers a call as soon as its deadline passes or its client goes away, whatever the service still waits for:
 * Connect raises the signal, but waits on for an implementation that does not look at it. A call that has ended before
 * it begins does not reach the service.
 */
export function createDeadlineInterceptor(): Interceptor {
  return (next) => async (request) => {
    if (request.signal.aborted) throw endOf(request.signal);
    const response = await untilAborted(next(request), request.signal);
    return response.stream ? { ...response, message: eachUntilAborted(response.message, request.signal) } : response;
  };
}

async function* eachUntilAborted<Item>(items: AsyncIterable<Item>, signal: AbortSignal) {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(iterator.next(), signal);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a stream that is waiting for something ends after it.
    Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** Settles as `work` does, or rejects as soon as the signal is aborted. */
export function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(endOf(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Connect gives a deadline as its error; anything else means that there is nobody to answer. */
export function endOf({ reason }: AbortSignal): ConnectError {
  return reason instanceof ConnectError ? reason : new ConnectError("the client went away", Code.Canceled);
}
