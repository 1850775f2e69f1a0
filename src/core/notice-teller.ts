/**
 * Operational events: what happens to an organization's webhooks and deliveries, told to its webhooks of source `system`.
 *
 *   a change and its notice ──one commit──▶ notice ──one commit──▶ events and deliveries, like received ones
 *
 * Nothing is lost or told twice, whenever a process dies. One replica at a time is at work for an organization, so that
 * its events have the order of the changes and floods are counted once. It begins as soon as this process has made a
 * change, and looks for what others have left every few seconds.
 */
import type { Pool, PoolClient } from "pg";
import type { Logger } from "../observe/logger.ts";
import { Chore } from "../store/chore.ts";
import { findToldOf, keepFloods, type NoticeType, nextToTell, takeNotices } from "../store/sql/notices.ts";
import { insertReceived, type ReceiveRow } from "../store/sql/receive.ts";
import { transaction } from "../store/transaction.ts";
import { matchesAllowlist } from "./allowlist.ts";
import { newId } from "./ids.ts";
import { meter, type Told } from "./notice-floods.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import type { WebhookLoader } from "./webhook-loader.ts";

export interface NoticeTellerOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly loader: WebhookLoader<ReceivingWebhook>;
  readonly settings: { readonly dedupeWindowSeconds: number; readonly leaseMs: number };
  /** Notices that one step takes, and those of one webhook and type that are told each by itself in a minute. */
  readonly limits: { readonly noticeBatchRows: number; readonly noticesPerMinuteMax: number };
  /** Told that deliveries may be due. */
  readonly onTold: () => void;
}

const EVERY_MS = 5_000;
const NO_ID = "00000000-0000-0000-0000-000000000000";
/** The name of what vouches for an event that nobody sent. */
const SCHEME = "system";

/** An operational event, as its payload has it. */
interface OperationalEvent {
  readonly type: NoticeType;
  readonly id: string;
  readonly createdAt: Date;
  readonly data: object;
}

export class NoticeTeller {
  readonly #options: NoticeTellerOptions;
  readonly #chore: Chore;

  constructor(options: NoticeTellerOptions) {
    this.#options = options;
    const work = (signal: AbortSignal) => this.#tellAll(signal);
    this.#chore = new Chore({ name: "notices", logger: options.logger, firstMs: 0, everyMs: EVERY_MS, work });
  }

  start(): void {
    this.#chore.start();
  }

  /** Looks now for what is to be told. */
  wake(): void {
    this.#chore.wake();
  }

  /** Ends the step under way. May be called twice. */
  async stop(): Promise<void> {
    await this.#chore.stop();
  }

  /** In turn a batch of each organization, until there is nothing left. */
  async #tellAll(signal: AbortSignal): Promise<void> {
    for (let more = true; more && !signal.aborted; ) {
      more = false;
      for (let after: string | undefined = NO_ID; after !== undefined && !signal.aborted; ) {
        const step: Step | undefined = await this.#tell(after);
        after = step?.organizationId;
        more ||= step?.more ?? false;
      }
    }
  }

  async #tell(after: string): Promise<Step | undefined> {
    const { pool, limits, logger, onTold } = this.#options;
    const step = await transaction(pool, async (client) => {
      const organizationId = await nextToTell(client, after);
      if (organizationId === undefined) return undefined;
      const untold = await takeNotices(client, organizationId, limits.noticeBatchRows);
      if (!untold) return { organizationId, more: false, events: 0 };
      const { told, floods } = meter(untold, limits.noticesPerMinuteMax);
      await keepFloods(client, organizationId, floods);
      const rows = await this.#rowsOf(client, told, untold.listeners, untold.now);
      const states = rows.length > 0 ? await insertReceived(client, rows, this.#options.settings) : [];
      // Rolled back, and told again by a later turn.
      if (states.includes("stale")) throw new Error("a webhook has changed under an operational event");
      return { organizationId, more: untold.notices.length === limits.noticeBatchRows, events: rows.length };
    });
    if (step && step.events > 0) {
      logger.debug({ organization: step.organizationId, events: step.events }, "operational events recorded");
      onTold();
    }
    return step;
  }

  async #rowsOf(client: PoolClient, told: readonly Told[], listeners: readonly string[], now: Date) {
    if (told.length === 0 || listeners.length === 0) return [];
    const webhooks = await Promise.all(listeners.map((id) => this.#options.loader.refresh(id)));
    const events = await eventsOf(client, told, now);
    return webhooks.flatMap((webhook) => {
      if (!webhook) return [];
      const wanted = events.filter(({ type }) => matchesAllowlist(webhook.record.events, [type]));
      return wanted.map((event) => rowOf(webhook, event, now));
    });
  }
}

interface Step {
  readonly organizationId: string;
  /** Whether it may have more to be told. */
  readonly more: boolean;
}

async function eventsOf(client: PoolClient, told: readonly Told[], now: Date): Promise<OperationalEvent[]> {
  const webhookIds = [...new Set(told.flatMap(({ webhookId }) => webhookId ?? []))];
  const deliveryIds = told.flatMap(({ notice }) => deliveryIdOf(notice) ?? []);
  const { names, deliveries } = await findToldOf(client, webhookIds, deliveryIds);
  return told.map(({ webhookId, type, notice, count, since, until }) => {
    const subject = webhookId === null ? {} : { webhookId, webhookName: names.get(webhookId) ?? null };
    if (!notice) return { type, id: newId(), createdAt: now, data: { ...subject, count, since, until } };
    const deliveryId = deliveryIdOf(notice);
    const delivery = deliveryId === undefined ? {} : deliveries.get(deliveryId);
    return {
      type,
      id: notice.id,
      createdAt: notice.raisedAt,
      data: { ...subject, count, ...delivery, ...notice.data },
    };
  });
}

function deliveryIdOf(notice: Told["notice"]): string | undefined {
  const { deliveryId } = notice?.data ?? {};
  return typeof deliveryId === "string" ? deliveryId : undefined;
}

function rowOf({ record, flowing, rules }: ReceivingWebhook, event: OperationalEvent, now: Date): ReceiveRow {
  const headers = new Map([["content-type", "application/json"]]);
  const body = Buffer.from(JSON.stringify(event));
  const request = { header: (name: string) => headers.get(name), body, method: "POST", url: undefined };
  return {
    eventId: newId(),
    organizationId: record.organizationId,
    webhookId: record.id,
    version: record.version,
    type: event.type,
    sourceEventId: event.id,
    status: "received",
    verified: true,
    scheme: SCHEME,
    synthetic: false,
    contentType: "application/json",
    headers: [...headers],
    body,
    receivedAtMs: now.getTime(),
    repeatKey: null,
    bodyHash: null,
    reuseKey: null,
    reused: false,
    delivery: record.url === null ? null : { id: newId(), url: record.url, paused: !flowing },
    laned: record.url !== null && flowing && rules.isMetered,
    orderKey: record.url === null ? null : rules.orderKey(request),
    leaseToken: null,
  };
}
