/**
 * Receiving: bytes in → verdict → event and what it owes in one commit → answer.
 *
 * The webhook comes from memory; the commit checks that it is still the version that was judged. A stale one is read
 * again and the request judged anew, so no cache outlives a rotation, a pause or a delete. A refusal is given only on
 * a fresh read.
 */
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Observer } from "../observe/observer.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { isForm } from "../signature/form.ts";
import type { Handshake } from "../signature/handshake.ts";
import { describeUnmet, findHandshake, type HandshakeReply } from "../signature/handshakes.ts";
import type { InboundRequest } from "../signature/request.ts";
import type { SuccessAnswer } from "../signature/success-answer.ts";
import type { HeaderList } from "../store/entities/event.ts";
import type { ReceiveRow } from "../store/sql/receive.ts";
import { matchesAllowlist } from "./allowlist.ts";
import type { EventRecorder } from "./event-recorder.ts";
import type { DestinationOf, Handover } from "./handover.ts";
import type { Handshakes } from "./handshakes.ts";
import { isUuid, newId } from "./ids.ts";
import type { Inbound, InboundHead } from "./inbound.ts";
import { type Admitted, type Judge, refusalOfHead, refusalOfWebhook } from "./judgement.ts";
import { receivedEvent } from "./received-event.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { redactHeaders } from "./redact-headers.ts";
import { leavesTrace, RefusedReceive, type TracedAnswer, type TracedRequest, traceOf } from "./refused-receive.ts";
import { repeatKeys } from "./repeat-keys.ts";
import type { Traces } from "./traces.ts";
import { UnderWay } from "./under-way.ts";
import type { WebhookLoader } from "./webhook-loader.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export interface Receipt {
  readonly eventId: string;
  readonly duplicate: boolean;
  /** What the provider wants to hear; undefined: our receipt. */
  readonly success: SuccessAnswer | undefined;
}

/** The receipt; BAD_REQUEST for a handshake, whose answer only HTTP can carry. */
export function receiptOf(received: Receipt | HandshakeReply): Receipt {
  if ("eventId" in received) return received;
  throw new AppError("BAD_REQUEST", "the request is a handshake, which is answered over HTTP only");
}

export interface ReceiverOptions {
  readonly loader: WebhookLoader<ReceivingWebhook>;
  readonly recorder: EventRecorder;
  readonly handover: Handover;
  readonly judge: Judge;
  readonly handshakes: Handshakes;
  readonly observer: Observer;
  readonly traces: Traces;
  /** What a trace keeps of headers, and of the body, bytes. */
  readonly traceContentBytesMax: number;
  readonly clock: Clock;
  /** How often a request whose webhook changed under it is judged anew. */
  readonly staleRetriesMax: number;
  /** Receives under way at once for one client, whether they prove genuine or not. */
  readonly perClientMax: number;
  /** Verified events of one webhook that wait for their commit. */
  readonly perWebhookMax: number;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #clients: UnderWay;
  /** Only what was verified counts: forgeries must not shut a webhook to its provider. */
  readonly #webhooks: UnderWay;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#clients = new UnderWay(options.perClientMax);
    this.#webhooks = new UnderWay(options.perWebhookMax);
  }

  /** Counts a receive of this client until the function that it returns is called. Throws TOO_MANY_REQUESTS. */
  enter(client: string): () => void {
    const leave = this.#clients.enter(client);
    if (!leave) throw new AppError("TOO_MANY_REQUESTS", "too many receives at once from one address");
    return leave;
  }

  /**
   * Refuses what the head alone refuses, so that its body need not be read: with the error that `receive` would give,
   * and like there only on a fresh read. Undefined if it is admitted at once.
   */
  admit(webhookId: string, head: InboundHead): Promise<void> | undefined {
    if (!isUuid(webhookId)) throw noSuchWebhook();
    const id = webhookId.toLowerCase();
    const known = this.#options.loader.peek(id);
    return known && !refusalOfHead(known, head) ? undefined : this.#admitFresh(id, head);
  }

  async #admitFresh(id: string, head: InboundHead): Promise<void> {
    const webhook = await this.#options.loader.refresh(id);
    const refusal = webhook ? refusalOfHead(webhook, head) : noSuchWebhook();
    if (refusal) throw refusal;
  }

  /**
   * Resolves once the event is committed, or to what a handshake is answered. NOT_FOUND for an unknown webhook,
   * FORBIDDEN for a disabled one, UNAUTHORIZED with the reason for a bad signature, TOO_MANY_REQUESTS when the webhook
   * or its organization has too many events under way, SERVICE_UNAVAILABLE when the store is down or the server full.
   */
  async receive(inbound: Inbound): Promise<Receipt | HandshakeReply> {
    const { loader, judge, staleRetriesMax } = this.#options;
    if (!isUuid(inbound.webhookId)) throw noSuchWebhook();
    const id = inbound.webhookId.toLowerCase();
    const startedMs = performance.now();
    let webhook = await loader.get(id);
    let fresh = false;
    for (let round = 0; round <= staleRetriesMax; round++) {
      if (!webhook) throw noSuchWebhook();
      const judged = await judge.judge(webhook, inbound);
      if (judged instanceof AppError) {
        if (fresh) throw judged;
      } else if ("handshake" in judged) {
        if (fresh) return await this.#answer(webhook, judged.handshake, inbound);
      } else {
        const leave = this.#webhooks.enter(id);
        if (!leave) throw new AppError("TOO_MANY_REQUESTS", "too many events of this webhook at once");
        const receipt = await this.#record(webhook, inbound, judged, startedMs).finally(leave);
        if (receipt) return receipt;
      }
      webhook = await loader.refresh(id);
      fresh = true;
    }
    throw new AppError("SERVICE_UNAVAILABLE", "the webhook is being changed; try again shortly");
  }

  /** Tells that a receive was refused, with the error's code as REST shows it. */
  refused(code: string): void {
    this.#options.observer.refused(code);
  }

  /**
   * What is answered to a GET or HEAD, which can only be a handshake: undefined if the webhook's source has none. Refuses
   * as `receive` does, and with BAD_REQUEST what is not the source's own.
   */
  async greet(inbound: Inbound): Promise<HandshakeReply | undefined> {
    if (!isUuid(inbound.webhookId)) throw noSuchWebhook();
    const { request } = inbound;
    const webhook = await this.#options.loader.refresh(inbound.webhookId.toLowerCase());
    if (!webhook) throw noSuchWebhook();
    const refusal = refusalOfWebhook(webhook);
    if (refusal) throw refusal;
    const handshake = findHandshake(webhook.source, request, { signed: false });
    if (handshake) return await this.#answer(webhook, handshake, inbound);
    const unmet = describeUnmet(webhook.source, request.method);
    if (unmet === undefined) return undefined;
    throw new RefusedReceive("BAD_REQUEST", "missing_field", unmet, webhook.record.id);
  }

  async #answer(
    webhook: ReceivingWebhook,
    handshake: Handshake,
    { request, remote }: Inbound,
  ): Promise<HandshakeReply> {
    const { handshakes, observer, clock } = this.#options;
    const from = { nowMs: clock.now(), remoteAddress: remote?.address ?? "" };
    const reply = await handshakes.answer(webhook, handshake, request, from);
    observer.greeted();
    return reply;
  }

  /**
   * Leaves a trace of a request that became no event with its webhook, where there is one. Never rejects; resolves once
   * the webhook is found, which nobody's answer waits for.
   */
  async leaveTrace(request: TracedRequest, answer: TracedAnswer): Promise<void> {
    const { loader, traces, traceContentBytesMax, clock } = this.#options;
    const webhookId = answer.webhookId?.toLowerCase();
    if (!leavesTrace(answer) || webhookId === undefined || !isUuid(webhookId)) return;
    const nowMs = clock.now();
    const webhook = loader.peek(webhookId) ?? (await loader.get(webhookId).catch(() => undefined));
    if (!webhook) return;
    const subject = { webhookId, check: answer.check, client: request.remote.client };
    traces.leave(subject, () => traceOf(webhook, request, answer, nowMs, traceContentBytesMax));
  }

  /** Commits the event; undefined if the webhook has changed. */
  async #record(
    webhook: ReceivingWebhook,
    inbound: Inbound,
    admitted: Admitted,
    startedMs: number,
  ): Promise<Receipt | undefined> {
    const { recorder, handover, observer, clock } = this.#options;
    const { record, source } = webhook;
    const judgedMs = performance.now();
    const success = successFor(source, inbound.request);
    const wanted = matchesAllowlist(record.events, admitted.types);
    const owes = wanted && record.url !== null;
    const goes = owes && webhook.flowing;
    const destination = { webhookId: record.id, organizationId: record.organizationId };
    const direct = goes && !webhook.rules.isMetered;
    const leaseToken = direct ? handover.reserve(destination, inbound.request.body.length) : null;
    const row: ReceiveRow = {
      eventId: newId(),
      organizationId: record.organizationId,
      webhookId: record.id,
      version: record.version,
      type: admitted.type,
      sourceEventId: admitted.id,
      status: wanted ? "received" : "filtered",
      verified: admitted.verified,
      scheme: admitted.scheme,
      synthetic: inbound.synthetic !== false,
      contentType: inbound.contentType,
      headers: redactHeaders(inbound.headers, source.credentialHeaders),
      body: inbound.request.body,
      receivedAtMs: clock.now(),
      ...repeatKeys(admitted, inbound.request.body),
      reused: false,
      delivery: owes && record.url !== null ? { id: newId(), url: record.url, paused: !webhook.flowing } : null,
      laned: goes && leaseToken === null && (!direct || handover.isStuck(destination)),
      orderKey: owes ? webhook.rules.orderKey(inbound.request) : null,
      leaseToken,
    };
    try {
      const recorded = await recorder.record(row);
      const stages = { read: inbound.readMs, verify: judgedMs - startedMs, commit: performance.now() - judgedMs };
      if (recorded.kind !== "stale") observer.received(receivedEvent(row, recorded, { webhook, inbound, stages }));
      if (recorded.kind === "stored" || recorded.kind === "laned") {
        if (recorded.kind === "stored") this.#handOver(row, webhook);
        else this.#leaveInLane(leaseToken, destination);
        return { eventId: row.eventId, duplicate: false, success };
      }
      if (leaseToken) handover.cancel(leaseToken);
      return recorded.kind === "repeat" ? { eventId: recorded.eventId, duplicate: true, success } : undefined;
    } catch (error) {
      if (leaseToken) handover.cancel(leaseToken);
      throw error;
    }
  }

  /** Its destination has got a lane meanwhile, or had one. */
  #leaveInLane(leaseToken: string | null, destination: DestinationOf): void {
    const { handover } = this.#options;
    if (leaseToken !== null) handover.cancel(leaseToken);
    handover.wake(destination);
  }

  #handOver(row: ReceiveRow, webhook: ReceivingWebhook): void {
    const { handover } = this.#options;
    if (!row.delivery || row.delivery.paused) return;
    if (row.leaseToken === null) {
      handover.wake();
      return;
    }
    handover.take({
      deliveryId: row.delivery.id,
      organizationId: row.organizationId,
      webhookId: row.webhookId,
      leaseToken: row.leaseToken,
      webhook,
      event: {
        id: row.eventId,
        type: row.type,
        verified: row.verified,
        headers: [...row.headers] as HeaderList,
        body: row.body,
      },
    });
  }
}

function successFor({ success }: CompiledSource, { header }: InboundRequest): SuccessAnswer | undefined {
  return success?.forForms && !isForm(header) ? undefined : success;
}
