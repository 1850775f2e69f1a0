/** What becomes of a request, by its webhook as it was read: refused, admitted as an event, or a handshake. */
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { type EventIdentity, identify } from "../signature/event-identity.ts";
import type { Handshake } from "../signature/handshake.ts";
import { findHandshake, mayBeHandshake } from "../signature/handshakes.ts";
import type { InboundRequest } from "../signature/request.ts";
import { SYSTEM } from "../signature/system.ts";
import type { Check, Refusal, Verdict } from "../signature/verdict.ts";
import { refuseHead } from "../signature/verify.ts";
import type { Inbound, InboundHead } from "./inbound.ts";
import type { PublishedKeys } from "./published-keys.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { RefusedReceive } from "./refused-receive.ts";

/** Scheme of our own test events that only the provider could have signed. */
const SYNTHETIC_SCHEME = "synthetic";

/** A request that is admitted: what verified it, whether anything did, and what the event is called. */
export interface Admitted extends EventIdentity {
  readonly scheme: string;
  readonly verified: boolean;
}

export type Judgement = AppError | Admitted | { readonly handshake: Handshake };

export class Judge {
  readonly #keys: PublishedKeys;
  readonly #clock: Clock;

  constructor({ keys, clock }: { keys: PublishedKeys; clock: Clock }) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /** Why the request is refused, what it is admitted as, or which handshake it is. */
  async judge(webhook: ReceivingWebhook, { request, synthetic }: Inbound): Promise<Judgement> {
    const refusal = synthetic ? refusalOfStatus(webhook) : refusalOfWebhook(webhook);
    if (refusal) return refusal;
    const { source } = webhook;
    if (synthetic === "unsigned") return { ...identify(source, request), scheme: SYNTHETIC_SCHEME, verified: true };
    const nowMs = this.#clock.now();
    const { id: webhookId, organizationId } = webhook.record;
    const judged = { source, secrets: webhook.keys(nowMs), request, nowMs, account: { organizationId, webhookId } };
    const verdict = await this.#keys.judge(judged);
    const handshake = synthetic ? undefined : handshakeIn(source, request, verdict);
    if (handshake) return { handshake };
    if (!verdict.valid) return unauthorized(webhook, verdict);
    return { ...identify(source, request, verdict.scheme), scheme: verdict.scheme, verified: verdict.verified };
  }
}

/** Why the head alone refuses a request; undefined if its body must be seen. */
export function refusalOfHead(webhook: ReceivingWebhook, { request, bodyBytes }: InboundHead): AppError | undefined {
  const closed = refusalOfWebhook(webhook);
  if (closed) return closed;
  const refusal = refuseHead(webhook.source, request.header);
  if (!refusal || (isUnsigned(refusal) && mayBeHandshake(webhook.source, request, bodyBytes))) return undefined;
  return unauthorized(webhook, refusal);
}

/** Why a webhook takes nothing from outside; undefined if it does. */
export function refusalOfWebhook(webhook: ReceivingWebhook): AppError | undefined {
  if (webhook.source !== SYSTEM) return refusalOfStatus(webhook);
  return new AppError(
    "NOT_FOUND",
    "nothing can be sent to this webhook: its source is system, whose events are made here",
  );
}

const refusalOfStatus = ({ record }: ReceivingWebhook): AppError | undefined =>
  record.status === "disabled"
    ? new RefusedReceive("FORBIDDEN", "disabled", "this webhook is disabled", record.id)
    : undefined;

/** A signature makes a request an event, unless it is a handshake that is signed. */
function handshakeIn(source: CompiledSource, request: InboundRequest, verdict: Verdict): Handshake | undefined {
  if (verdict.valid) return verdict.verified ? findHandshake(source, request, { signed: true }) : undefined;
  return isUnsigned(verdict) ? findHandshake(source, request, { signed: false }) : undefined;
}

const isUnsigned = ({ check }: { readonly check: Check }): boolean => check === "missing_signature";

function unauthorized({ record }: ReceivingWebhook, { check, reason }: Refusal): RefusedReceive {
  return new RefusedReceive("UNAUTHORIZED", check, reason, record.id);
}
