/** What a call carries besides its message: who makes it and under which origin it came. */
import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Caller } from "../core/caller.ts";
import { AppError } from "../errors.ts";

export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });
export const originKey = createContextKey<string>("", { description: "origin" });
/** The client's address, and the client as the caps count it. */
export const addressKey = createContextKey<string>("", { description: "address" });
export const clientKey = createContextKey<string>("", { description: "client" });
/** Does something once the answer of a call has been sent or given up, or at once if it has. */
export const answerEndKey = createContextKey<(listener: () => void) => void>((listener) => listener(), {
  description: "end of the answer",
});
/** Aborts when the service is about to stop: streams that would go on for ever end then; calls that end by themselves do not. */
export const stoppingKey = createContextKey<AbortSignal>(new AbortController().signal, { description: "stopping" });

/** The authenticated caller. Fails closed where no gate has run. */
export function callerOf(context: HandlerContext): Caller {
  const caller = context.values.get(callerKey);
  if (!caller) throw new AppError("UNAUTHORIZED", "send an API key: Authorization: Bearer alm_live_…");
  return caller;
}
