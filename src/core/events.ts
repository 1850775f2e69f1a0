/** Recorded events: lists, one event, its bytes, replay. */
import type { Pool } from "pg";
import { AppError } from "../errors.ts";
import { identify } from "../signature/event-identity.ts";
import { findSource } from "../signature/source.ts";
import { Delivery } from "../store/entities/delivery.ts";
import { Event, type HeaderList } from "../store/entities/event.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import { type EventFilter, stepThroughEvents } from "../store/sql/event-scan.ts";
import { replayEvent } from "../store/sql/redeliver.ts";
import type { StepBounds } from "../store/sql/scan.ts";
import { matchesAllowlist } from "./allowlist.ts";
import type { Caller } from "./caller.ts";
import { type DeliveryView, viewOf, webhooksOf } from "./deliveries.ts";
import { exactText } from "./exact-text.ts";
import { newId } from "./ids.ts";
import type { PageRequest } from "./pages.ts";
import { idRange, type ScannedPage, type Scans, type TimeRange, typePattern } from "./scans.ts";
import { searchPattern } from "./search-pattern.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export interface EventView {
  readonly event: Event;
  readonly webhookName: string;
}

export interface EventDetail extends EventView {
  readonly headers: HeaderList;
  /** The exact text; null where it is not UTF-8 or is left out. */
  readonly payload: string | null;
  /** The exact bytes; null where they are left out. */
  readonly body: Buffer | null;
}

/** A recorded body and the content type it came with. */
export interface EventBody {
  readonly contentType: string | null;
  readonly body: Buffer;
}

/** Which events are wanted; undefined and empty: whichever. */
export interface EventQuery extends TimeRange {
  readonly webhookId: string | undefined;
  readonly statuses: readonly string[];
  readonly type: string | undefined;
  readonly verified: boolean | undefined;
  readonly sourceEventId: string | undefined;
  /** A text that the payload or a header holds, whatever its case. */
  readonly search: string | undefined;
}

export interface EventsOptions {
  readonly orm: Orm;
  readonly pool: Pool;
  readonly scanPool: Pool;
  readonly scans: Scans;
  /** Bytes of bodies that one step of a search looks through. */
  readonly scanBytesMax: number;
  readonly inlineBodyBytesMax: number;
  readonly wake: () => void;
}

const noSuchEvent = () => new AppError("NOT_FOUND", "no such event");

export class Events {
  readonly #orm: Orm;
  readonly #pool: Pool;
  readonly #scanPool: Pool;
  readonly #scans: Scans;
  readonly #scanBytesMax: number;
  readonly #inlineBodyBytesMax: number;
  readonly #wake: () => void;

  /** `wake` tells the delivery loop that something is due. */
  constructor(options: EventsOptions) {
    this.#orm = options.orm;
    this.#pool = options.pool;
    this.#scanPool = options.scanPool;
    this.#scans = options.scans;
    this.#scanBytesMax = options.scanBytesMax;
    this.#inlineBodyBytesMax = options.inlineBodyBytesMax;
    this.#wake = options.wake;
  }

  /**
   * The organization's events, or those of one webhook, newest first. Those of deleted webhooks are no longer shown,
   * though a purge may not have reached them.
   */
  async list(caller: Caller, request: PageRequest & EventQuery): Promise<ScannedPage<EventView>> {
    const filter = eventFilter(caller, request);
    const em = organizationScope(this.#orm, caller.organizationId);
    if (filter.webhookId !== null && !(await em.findOne(Webhook, { id: filter.webhookId }))) throw noSuchWebhook();
    const step = (bounds: StepBounds) =>
      stepThroughEvents(this.#scanPool, filter, { ...bounds, bytes: this.#scanBytesMax });
    const page = await this.#scans.page(caller.organizationId, request, step);
    const events = await em.find(Event, { id: { $in: page.items } }, { orderBy: { id: "desc" } });
    const webhooks = await webhooksOf(em, events);
    const items = events.flatMap((event) => {
      const webhookName = webhooks.get(event.webhookId)?.name;
      return webhookName === undefined ? [] : [{ event, webhookName }];
    });
    return { ...page, items };
  }

  /** One event with headers and payload; a body over the inline bound is left out. */
  async get(caller: Caller, id: string): Promise<EventDetail> {
    const { event, webhook } = await this.#find(caller, id, ["headers"]);
    const view = { event, webhookName: webhook.name, headers: event.headers as unknown as HeaderList };
    if (event.size > this.#inlineBodyBytesMax) return { ...view, payload: null, body: null };
    const { body } = await this.body(caller, id);
    return { ...view, payload: exactText(body), body };
  }

  /** The exact bytes. */
  async body(caller: Caller, id: string): Promise<EventBody> {
    const { event } = await this.#find(caller, id, ["body"]);
    return { contentType: event.contentType ?? null, body: Buffer.from(event.body as unknown as Buffer) };
  }

  /** New deliveries of the event to every destination that it matches now; empty if it matches none. */
  async replay(caller: Caller, id: string): Promise<DeliveryView[]> {
    const { event, webhook } = await this.#find(caller, id, ["headers", "body"]);
    if (!matchesAllowlist(webhook.events, typesOf(event, webhook))) return [];
    const deliveryId = newId();
    const refusal = await replayEvent(this.#pool, caller.organizationId, event, deliveryId);
    if (refusal === "no_url") return [];
    const em = organizationScope(this.#orm, caller.organizationId);
    const delivery = refusal === null ? await em.findOne(Delivery, { id: deliveryId }) : null;
    // The webhook or the event was deleted meanwhile.
    if (!delivery) throw noSuchEvent();
    this.#wake();
    return [viewOf(delivery, webhook, undefined)];
  }

  async #find(caller: Caller, id: string, lazy: ("headers" | "body")[]) {
    const em = organizationScope(this.#orm, caller.organizationId);
    const event = await em.findOne(Event, { id }, { populate: lazy });
    const webhook = event && (await em.findOne(Webhook, { id: event.webhookId }));
    if (!event || !webhook) throw noSuchEvent();
    return { event, webhook };
  }
}

function eventFilter(caller: Caller, query: EventQuery): EventFilter {
  return {
    organizationId: caller.organizationId,
    webhookId: query.webhookId ?? null,
    statuses: query.statuses,
    type: typePattern(query.type),
    verified: query.verified ?? null,
    sourceEventId: query.sourceEventId ?? null,
    pattern: query.search === undefined ? null : searchPattern(query.search),
    ...idRange(query),
  };
}

/** The types under which an event may match an allowlist: of a batch, those of all its events. */
function typesOf(event: Event, webhook: Webhook): readonly string[] {
  const headers = new Map((event.headers as unknown as HeaderList).map(([name, value]) => [name.toLowerCase(), value]));
  const request = {
    header: (name: string) => headers.get(name),
    body: Buffer.from(event.body as unknown as Buffer),
    method: "POST",
    url: undefined,
  };
  const { types } = identify(findSource(webhook.source), request);
  return event.type ? [event.type, ...types] : types;
}
