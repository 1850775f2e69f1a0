/** What every call passes before a byte of its body is read: how many come in, when, and on whose behalf. */
import type { DescService } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import type { ApiKeys } from "../core/api-keys.ts";
import { UnderWay } from "../core/under-way.ts";
import { AppError } from "../errors.ts";
import { callerKey, incomingKey } from "./context.ts";
import { endOf } from "./deadline.ts";
import { toConnectError } from "./error-mapping.ts";
import { INTROSPECTION } from "./introspection.ts";
import { Turnstile, type TurnstileLimits } from "./turnstile.ts";

/** Receiving needs no key: its signature is the proof. */
const KEYLESS: ReadonlySet<DescService> = new Set([ReceiveService, ...INTROSPECTION]);

export interface GateLimits extends TurnstileLimits {
  /** Calls under way of one organization, and of one client address with keys that are nobody's as far as is known. */
  readonly callsPerCallerMax: number;
}

/**
 * Looks at the headers alone. Calls with a key whose owner is remembered count and wait as the owner's, all others as
 * their client's, so that strangers at an address do not shut out its customers.
 */
export function createRequestGate(apiKeys: ApiKeys, limits: GateLimits): (context: HandlerContext) => Promise<void> {
  const turnstile = new Turnstile(limits);
  const calls = new UnderWay(limits.callsPerCallerMax);

  const begin = ({ values }: HandlerContext, lane: string) => {
    const leave = calls.enter(lane);
    if (!leave) throw new AppError("TOO_MANY_REQUESTS", "too many calls at once; wait for some of them to be answered");
    const end = values.get(incomingKey).answerEnd;
    if (end) end.listen(leave);
    else leave();
  };

  return async (context) => {
    const key = apiKeys.present(context.requestHeader.get("authorization"));
    try {
      const lane = key?.owner?.organizationId ?? context.values.get(incomingKey).client;
      const turn = turnstile.enter(lane);
      if (turn) {
        await turn;
        if (context.signal.aborted) throw endOf(context.signal);
      }
      begin(context, lane);
      if (KEYLESS.has(context.service)) return;
      context.values.set(callerKey, await apiKeys.authenticate(key));
    } catch (error) {
      throw toConnectError(error);
    }
  };
}
