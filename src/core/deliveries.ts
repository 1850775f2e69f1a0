/** Deliveries and their attempts, the manual retry, and giving up. */
import type { EntityManager } from "@mikro-orm/postgresql";
import type { Pool } from "pg";
import { AppError } from "../errors.ts";
import type { Observer } from "../observe/observer.ts";
import { Delivery, DeliveryAttempt, type DeliveryStatus } from "../store/entities/delivery.ts";
import { Event, type HeaderList } from "../store/entities/event.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import { type CancelRefusal, cancelDelivery } from "../store/sql/cancel.ts";
import { type DeliveryFilter, stepThroughDeliveries } from "../store/sql/delivery-scan.ts";
import { type RetryRefusal, retryDelivery } from "../store/sql/redeliver.ts";
import type { StepBounds } from "../store/sql/scan.ts";
import type { Caller } from "./caller.ts";
import type { PageRequest } from "./pages.ts";
import { idRange, type ScannedPage, type Scans, type TimeRange, typePattern } from "./scans.ts";
import { sentHeaders } from "./sent-headers.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export interface DeliveryView {
  readonly delivery: Delivery;
  /** Where it goes: the webhook's url while it is owed, then where it went last. */
  readonly url: string;
  readonly lastAttempt: DeliveryAttempt | undefined;
}

export interface AttemptView {
  readonly attempt: DeliveryAttempt;
  /** What was sent, signatures and credentials redacted; empty where nothing was. */
  readonly requestHeaders: HeaderList;
}

export interface DeliveryDetail extends DeliveryView {
  /** Oldest first. */
  readonly attempts: readonly AttemptView[];
}

/** Which deliveries are wanted; undefined and empty: whichever. */
export interface DeliveryQuery extends TimeRange {
  readonly webhookId: string | undefined;
  readonly statuses: readonly string[];
  readonly type: string | undefined;
  readonly errorCode: string | undefined;
  readonly eventId: string | undefined;
}

const REFUSALS: Readonly<Record<RetryRefusal | CancelRefusal, () => AppError>> = {
  not_found: () => new AppError("NOT_FOUND", "no such delivery"),
  under_way: () => new AppError("CONFLICT", "an attempt of this delivery is under way; try again when it has ended"),
  finished: () => new AppError("CONFLICT", "the delivery is finished; there is nothing to cancel"),
  paused: () => new AppError("CONFLICT", "the webhook is not active; make it active, then retry"),
  stopped: () => new AppError("CONFLICT", 'forwarding is stopped; set forwarding.state to "active", then retry'),
  no_url: () => new AppError("CONFLICT", "the webhook has no url to deliver to; set one, then retry"),
};

export interface DeliveriesOptions {
  readonly orm: Orm;
  readonly pool: Pool;
  readonly scanPool: Pool;
  readonly scans: Scans;
  readonly leaseMs: number;
  readonly observer: Observer;
  readonly wake: () => void;
}

export class Deliveries {
  readonly #orm: Orm;
  readonly #pool: Pool;
  readonly #scanPool: Pool;
  readonly #scans: Scans;
  readonly #leaseMs: number;
  readonly #observer: Observer;
  readonly #wake: () => void;

  /** `wake` tells the delivery loop that something is due. */
  constructor(options: DeliveriesOptions) {
    this.#orm = options.orm;
    this.#observer = options.observer;
    this.#pool = options.pool;
    this.#scanPool = options.scanPool;
    this.#scans = options.scans;
    this.#leaseMs = options.leaseMs;
    this.#wake = options.wake;
  }

  /** The organization's deliveries, or those of one webhook, newest first. */
  async list(caller: Caller, request: PageRequest & DeliveryQuery): Promise<ScannedPage<DeliveryView>> {
    const filter = deliveryFilter(caller, request);
    const em = organizationScope(this.#orm, caller.organizationId);
    if (filter.webhookId !== null && !(await em.findOne(Webhook, { id: filter.webhookId }))) throw noSuchWebhook();
    const step = (bounds: StepBounds) => stepThroughDeliveries(this.#scanPool, filter, bounds);
    const page = await this.#scans.page(caller.organizationId, request, step);
    const deliveries = await em.find(Delivery, { id: { $in: page.items } }, { orderBy: { id: "desc" } });
    const webhooks = await webhooksOf(em, deliveries);
    const last = await lastAttempts(em, deliveries);
    const items = deliveries.flatMap((delivery) => {
      const webhook = webhooks.get(delivery.webhookId);
      return webhook ? [viewOf(delivery, webhook, last.get(delivery.id))] : [];
    });
    return { ...page, items };
  }

  async get(caller: Caller, id: string): Promise<DeliveryDetail> {
    const em = organizationScope(this.#orm, caller.organizationId);
    const delivery = await em.findOne(Delivery, { id });
    const webhook = delivery && (await em.findOne(Webhook, { id: delivery.webhookId }));
    if (!delivery || !webhook) throw REFUSALS.not_found();
    const attempts = await em.find(DeliveryAttempt, { deliveryId: id }, { orderBy: { number: "asc" } });
    const event = await em.findOne(Event, { id: delivery.eventId }, { populate: ["headers"] });
    return {
      ...viewOf(delivery, webhook, attempts.at(-1)),
      attempts: attempts.map((attempt) => {
        const traceparent = this.#observer.traceparent(delivery.eventId, delivery.id, attempt.number);
        return { attempt, requestHeaders: sentHeaders(delivery, attempt, { event, traceparent }) };
      }),
    };
  }

  /** Makes one more try due now. CONFLICT while one is under way or where the webhook takes none. */
  async retry(caller: Caller, id: string): Promise<DeliveryDetail> {
    const refusal = await retryDelivery(this.#pool, caller.organizationId, id, this.#leaseMs);
    if (refusal) throw REFUSALS[refusal]();
    const detail = await this.get(caller, id);
    this.#wake();
    return detail;
  }

  /** Gives it up. CONFLICT while an attempt is under way or where it is finished. */
  async cancel(caller: Caller, id: string): Promise<DeliveryDetail> {
    const refusal = await cancelDelivery(this.#pool, caller.organizationId, id);
    if (refusal) throw REFUSALS[refusal]();
    return await this.get(caller, id);
  }
}

/** The filter that a query means. BAD_REQUEST where a field can match nothing; `within` begins its name. */
export function deliveryFilter(caller: Caller, query: DeliveryQuery, within = ""): DeliveryFilter {
  return {
    organizationId: caller.organizationId,
    webhookId: query.webhookId ?? null,
    statuses: query.statuses as readonly DeliveryStatus[],
    type: typePattern(query.type, within),
    errorCode: query.errorCode ?? null,
    eventId: query.eventId ?? null,
    ...idRange(query, within),
  };
}

export function viewOf(delivery: Delivery, webhook: Webhook, lastAttempt: DeliveryAttempt | undefined): DeliveryView {
  const url = delivery.completedAt ? delivery.url : (webhook.url ?? delivery.url);
  return { delivery, url, lastAttempt };
}

/** The latest attempt of each delivery, by delivery id. */
export async function lastAttempts(
  em: EntityManager,
  deliveries: readonly Delivery[],
): Promise<Map<string, DeliveryAttempt>> {
  const attempted = deliveries.filter((delivery) => delivery.attemptCount > 0);
  if (attempted.length === 0) return new Map();
  const keys = attempted.map((delivery) => ({ deliveryId: delivery.id, number: delivery.attemptCount }));
  const attempts = await em.find(DeliveryAttempt, { $or: keys });
  return new Map(attempts.map((attempt) => [attempt.deliveryId, attempt]));
}

/** The webhooks of these rows, by id. Those that are deleted are missing. */
export async function webhooksOf(
  em: EntityManager,
  rows: readonly { readonly webhookId: string }[],
): Promise<Map<string, Webhook>> {
  if (rows.length === 0) return new Map();
  const webhooks = await em.find(Webhook, { id: { $in: [...new Set(rows.map((row) => row.webhookId))] } });
  return new Map(webhooks.map((webhook) => [webhook.id, webhook]));
}
