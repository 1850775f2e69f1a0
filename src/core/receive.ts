/**
 * Receiving: bytes in → verdict → event and what it owes in one commit → answer.
 *
 * The webhook comes from memory; the commit checks that it is still the version that was judged. A stale one is read
 * again and the request judged anew, so no cache outlives a rotation, a pause or a delete. A refusal is given only on
 * a fresh read.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { CompiledSource } from "../signature/compile.ts";
import { type EventIdentity, identify } from "../signature/event-identity.ts";
import { isForm } from "../signature/form.ts";
import type { HeaderLookup, InboundRequest } from "../signature/request.ts";
import type { SuccessAnswer } from "../signature/success-answer.ts";
import { refuseHead } from "../signature/verify.ts";
import type { HeaderList } from "../store/entities/event.ts";
import type { ReceiveRow } from "../store/sql/receive.ts";
import { matchesAllowlist } from "./allowlist.ts";
import { dedupeKey, type EventRecorder } from "./event-recorder.ts";
import type { Handover } from "./handover.ts";
import { isUuid, newId } from "./ids.ts";
import type { PublishedKeys } from "./published-keys.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { redactHeaders } from "./redact-headers.ts";
import { leavesTrace, type Refusal, RefusedReceive, type RefusedRequest, traceOf } from "./refused-receive.ts";
import type { Traces } from "./traces.ts";
import { UnderWay } from "./under-way.ts";
import type { WebhookLoader } from "./webhook-loader.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export type { HeaderList } from "../store/entities/event.ts";

/** One inbound request, its body complete. */
export interface Inbound {
  readonly webhookId: string;
  readonly request: InboundRequest;
  /** Names and values as they came. */
  readonly headers: HeaderList;
  readonly contentType: string | null;
  /** Whether we made the request ourselves, for a test; `unsigned` where only the provider could have signed it. */
  readonly synthetic: boolean | "unsigned";
}

export interface Receipt {
  readonly eventId: string;
  readonly duplicate: boolean;
  /** What the provider wants to hear; undefined: our receipt. */
  readonly success: SuccessAnswer | undefined;
}

/** Scheme of our own test events that only the provider could have signed. */
const SYNTHETIC_SCHEME = "synthetic";

/** A request that is admitted: what verified it, whether anything did, and what the event is called. */
interface Admitted extends EventIdentity {
  readonly scheme: string;
  readonly verified: boolean;
}

export interface ReceiverOptions {
  readonly loader: WebhookLoader<ReceivingWebhook>;
  readonly recorder: EventRecorder;
  readonly handover: Handover;
  readonly keys: PublishedKeys;
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
  admit(webhookId: string, header: HeaderLookup): Promise<void> | undefined {
    if (!isUuid(webhookId)) throw noSuchWebhook();
    const id = webhookId.toLowerCase();
    const known = this.#options.loader.peek(id);
    return known && !refusalOfHead(known, header) ? undefined : this.#admitFresh(id, header);
  }

  async #admitFresh(id: string, header: HeaderLookup): Promise<void> {
    const webhook = await this.#options.loader.refresh(id);
    const refusal = webhook ? refusalOfHead(webhook, header) : noSuchWebhook();
    if (refusal) throw refusal;
  }

  /**
   * Resolves once the event is committed. NOT_FOUND for an unknown webhook, FORBIDDEN for a disabled one,
   * UNAUTHORIZED with the reason for a bad signature, TOO_MANY_REQUESTS when the webhook or its organization has too
   * many events under way, SERVICE_UNAVAILABLE when the store is down or the server full.
   */
  async receive(inbound: Inbound): Promise<Receipt> {
    const { loader, staleRetriesMax } = this.#options;
    if (!isUuid(inbound.webhookId)) throw noSuchWebhook();
    const id = inbound.webhookId.toLowerCase();
    let webhook = await loader.get(id);
    let fresh = false;
    for (let round = 0; round <= staleRetriesMax; round++) {
      if (!webhook) throw noSuchWebhook();
      const judged = await this.#judge(webhook, inbound);
      if (judged instanceof AppError) {
        if (fresh) throw judged;
      } else {
        const leave = this.#webhooks.enter(id);
        if (!leave) throw new AppError("TOO_MANY_REQUESTS", "too many events of this webhook at once");
        const receipt = await this.#record(webhook, inbound, judged).finally(leave);
        if (receipt) return receipt;
      }
      webhook = await loader.refresh(id);
      fresh = true;
    }
    throw new AppError("SERVICE_UNAVAILABLE", "the webhook is being changed; try again shortly");
  }

  /**
   * Leaves a trace of a refused request with its webhook, where there is one. Never rejects; resolves once the webhook
   * is found, which nobody's answer waits for.
   */
  async leaveTrace(request: RefusedRequest, refusal: Refusal): Promise<void> {
    const { loader, traces, traceContentBytesMax, clock } = this.#options;
    const webhookId = refusal.webhookId?.toLowerCase();
    if (!leavesTrace(refusal) || webhookId === undefined || !isUuid(webhookId)) return;
    const nowMs = clock.now();
    const webhook = loader.peek(webhookId) ?? (await loader.get(webhookId).catch(() => undefined));
    if (!webhook) return;
    const subject = { webhookId, check: refusal.check, client: request.client };
    traces.leave(subject, () => traceOf(webhook, request, refusal, nowMs, traceContentBytesMax));
  }

  /** Why the request is refused, or what it is admitted as. */
  async #judge(webhook: ReceivingWebhook, { request, synthetic }: Inbound): Promise<AppError | Admitted> {
    const disabled = refusalOfStatus(webhook);
    if (disabled) return disabled;
    const { source } = webhook;
    if (synthetic === "unsigned") return { ...identify(source, request), scheme: SYNTHETIC_SCHEME, verified: true };
    const nowMs = this.#options.clock.now();
    const { id: webhookId, organizationId } = webhook.record;
    const judged = { source, secrets: webhook.keys(nowMs), request, nowMs, account: { organizationId, webhookId } };
    const verdict = await this.#options.keys.judge(judged);
    if (!verdict.valid) return new RefusedReceive("UNAUTHORIZED", verdict.check, verdict.reason, webhook.record.id);
    return { ...identify(source, request, verdict.scheme), scheme: verdict.scheme, verified: verdict.verified };
  }

  /** Commits the event; undefined if the webhook has changed. */
  async #record(webhook: ReceivingWebhook, inbound: Inbound, admitted: Admitted): Promise<Receipt | undefined> {
    const { recorder, handover, clock } = this.#options;
    const { record, source } = webhook;
    const success = successFor(source, inbound.request);
    const wanted = matchesAllowlist(record.events, admitted.types);
    const owes = wanted && record.url !== null;
    const leaseToken = owes && webhook.flowing ? handover.reserve(record.id, inbound.request.body.length) : null;
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
      leaseToken,
    };
    try {
      const recorded = await recorder.record(row);
      if (recorded.kind === "stored") {
        this.#handOver(row, webhook);
        return { eventId: row.eventId, duplicate: false, success };
      }
      if (leaseToken) handover.cancel(leaseToken);
      return recorded.kind === "repeat" ? { eventId: recorded.eventId, duplicate: true, success } : undefined;
    } catch (error) {
      if (leaseToken) handover.cancel(leaseToken);
      throw error;
    }
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

function refusalOfHead(webhook: ReceivingWebhook, header: HeaderLookup): AppError | undefined {
  const disabled = refusalOfStatus(webhook);
  if (disabled) return disabled;
  const refusal = refuseHead(webhook.source, header);
  return refusal && new RefusedReceive("UNAUTHORIZED", refusal.check, refusal.reason, webhook.record.id);
}

const refusalOfStatus = ({ record }: ReceivingWebhook): AppError | undefined =>
  record.status === "disabled"
    ? new RefusedReceive("FORBIDDEN", "disabled", "this webhook is disabled", record.id)
    : undefined;

/** The keys by which repeats of this event are found (DESIGN §5, Duplicates). */
function repeatKeys(
  { id, type, repeats, content }: EventIdentity,
  body: Buffer,
): Pick<ReceiveRow, "repeatKey" | "bodyHash" | "reuseKey"> {
  const none = { repeatKey: null, bodyHash: null, reuseKey: null };
  const idKey = id === null ? null : dedupeKey("id", id);
  switch (repeats) {
    case "none":
      return none;
    case "signed-id":
      return { ...none, repeatKey: idKey, bodyHash: idKey && hash128(body) };
    case "restamped-id":
      return { ...none, repeatKey: idKey };
    case "unsigned-id":
      return { ...none, repeatKey: dedupeKey("body", ...content), reuseKey: idKey };
    case "unsigned-id-and-type":
      return { ...none, repeatKey: dedupeKey("body", `${type}\0`, ...content), reuseKey: idKey };
    case "unsigned-id-and-body":
      return { ...none, repeatKey: idKey && dedupeKey("id+body", `${id}\0`, body), reuseKey: idKey };
  }
}

const hash128 = (body: Buffer): string => createHash("sha256").update(body).digest("hex").slice(0, 32);
