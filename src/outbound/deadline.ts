/** One signal for the deadline of an exchange and its caller's own abort. */

/** Longest deadline, milliseconds: what a timer can hold. */
const TIMEOUT_MS_MAX = 2_147_483_647;

/** The deadline came, as the reason of an abort. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/** The caller gave up, as the reason of an abort. */
export class AbortedError extends Error {
  override readonly name = "AbortedError";
}

export interface Deadline {
  /** Aborted with a DeadlineError or an AbortedError. */
  readonly signal: AbortSignal;
  /** Lets go of the timer and of the caller's signal. */
  clear(): void;
}

/** A deadline `timeoutMs` milliseconds from now, or as soon as the caller's signal aborts. `clear` must follow. */
export function openDeadline(timeoutMs: number, caller?: AbortSignal): Deadline {
  const controller = new AbortController();
  const afterMs = Math.min(Math.max(timeoutMs, 0), TIMEOUT_MS_MAX);
  const onDeadline = () => controller.abort(new DeadlineError(`The exchange was not complete within ${afterMs} ms.`));
  const onAbort = () => controller.abort(new AbortedError("given up"));
  const timer = setTimeout(onDeadline, afterMs);
  caller?.addEventListener("abort", onAbort, { once: true });
  if (caller?.aborted) onAbort();
  return {
    signal: controller.signal,
    clear: () => {
      clearTimeout(timer);
      caller?.removeEventListener("abort", onAbort);
    },
  };
}
