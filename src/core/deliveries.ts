/** Deliveries and their attempts, and the manual retry. */
import type { EntityManager } from "@mikro-orm/postgresql";
import type { Pool } from "pg";
import { AppError } from "../errors.ts";
import type { Observer } from "../observe/observer.ts";
import { Delivery, DeliveryAttempt, type DeliveryStatus } from "../store/entities/delivery.ts";
import { Event, type HeaderList } from "../store/entities/event.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import { type RetryRefusal, retryDelivery } from "../store/sql/redeliver.ts";
import type { Caller } from "./caller.ts";
import { findPage, type Page, type PageRequest } from "./pages.ts";
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

const REFUSALS: Readonly<Record<RetryRefusal, () => AppError>> = {
  not_found: () => new AppError("NOT_FOUND", "no such delivery"),
  under_way: () => new AppError("CONFLICT", "an attempt of this delivery is under way; retry when it has ended"),
  paused: () => new AppError("CONFLICT", "the webhook is not active; make it active, then retry"),
  stopped: () => new AppError("CONFLICT", 'forwarding is stopped; set forwarding.state to "active", then retry'),
  no_url: () => new AppError("CONFLICT", "the webhook has no url to deliver to; set one, then retry"),
};

export class Deliveries {
  readonly #orm: Orm;
  readonly #pool: Pool;
  readonly #leaseMs: number;
  readonly #observer: Observer;
  readonly #wake: () => void;

  /** `wake` tells the delivery loop that something is due. */
  constructor(options: { orm: Orm; pool: Pool; leaseMs: number; observer: Observer; wake: () => void }) {
    this.#orm = options.orm;
    this.#observer = options.observer;
    this.#pool = options.pool;
    this.#leaseMs = options.leaseMs;
    this.#wake = options.wake;
  }

  async listOfWebhook(
    caller: Caller,
    webhookId: string,
    request: PageRequest & { readonly status: string | undefined },
  ): Promise<Page<DeliveryView>> {
    const em = organizationScope(this.#orm, caller.organizationId);
    const webhook = await em.findOne(Webhook, { id: webhookId });
    if (!webhook) throw noSuchWebhook();
    const where = { webhookId, ...statusFilter(request.status as DeliveryStatus | undefined) };
    const page = await findPage(em, Delivery, where, request, false);
    const last = await lastAttempts(em, page.items);
    const items = page.items.map((delivery) => viewOf(delivery, webhook, last.get(delivery.id)));
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
}

const TROUBLE: readonly DeliveryStatus[] = ["failed", "paused", "canceled"];

/** States of trouble have an index of their own. */
function statusFilter(status: DeliveryStatus | undefined) {
  if (!status) return {};
  return TROUBLE.includes(status) ? { status, troubled: true } : { status };
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
