/** Webhooks: list, create, get, update, delete, rotate. Every change that receiving must see raises the version. */
import { type EntityManager, LockMode } from "@mikro-orm/postgresql";
import type { Pool } from "pg";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { SecretBox } from "../security/secret-box.ts";
import { secretProblem } from "../signature/source.ts";
import { Webhook, WebhookCounters, type WebhookStatus } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import { TAKE_CAPTURED } from "../store/sql/captures.ts";
import { type ClosedCircuit, closedNotice, FORGET_CIRCUIT } from "../store/sql/circuit.ts";
import { owedStatement } from "../store/sql/hold.ts";
import { ROUSE_LANE } from "../store/sql/lanes.ts";
import { noticeStatement } from "../store/sql/notices.ts";
import { deleteWebhook } from "../store/sql/purge.ts";
import { transaction } from "../store/transaction.ts";
import type { Caller } from "./caller.ts";
import { applyCredentials } from "./credential-changes.ts";
import { resolveDelivery } from "./delivery-settings.ts";
import { applyForwarding, forwardingNotice, forwardingOf, owedChange } from "./forwarding-state.ts";
import { newId } from "./ids.ts";
import { findPage, type Page, type PageRequest } from "./pages.ts";
import { checkSystemRoom, checkSystemSettings, isSystem } from "./system-webhooks.ts";
import {
  applyEd25519,
  chooseForwardSecret,
  chooseNextSecret,
  chooseSecret,
  chooseSigningKey,
  issueSecret,
  rotateSecret,
  type SecretPurpose,
} from "./webhook-secrets.ts";
import {
  noSuchWebhook,
  resolveEvents,
  resolveName,
  resolveSource,
  resolveStatus,
  resolveUrl,
  type UrlCheck,
  type WebhookPatch,
} from "./webhook-settings.ts";
import { applyVerification, resolveVerification, resolveVerifier, verifierOf } from "./webhook-verification.ts";
import { viewsOf, type WebhookView } from "./webhook-view.ts";

/** A new webhook as a caller describes it. */
export type NewWebhook = Omit<WebhookPatch, "name" | "forwardingState" | "verificationPaths" | "deliveryFields"> & {
  readonly name: string;
};

export interface Rotation {
  readonly purpose: SecretPurpose;
  readonly secret: string | undefined;
  readonly graceSeconds: number;
}

export interface WebhooksOptions {
  readonly orm: Orm;
  readonly pool: Pool;
  readonly box: SecretBox;
  readonly clock: Clock;
  readonly checkUrl: UrlCheck;
  /** How long a delivery is leased, milliseconds. */
  readonly leaseMs: number;
  /** Tells the delivery loop that something may be due. */
  readonly wake: () => void;
  /** Tells the maintenance that there is something to release or to purge. */
  readonly maintain: () => void;
  /** Told after a change of which an operational event tells. */
  readonly onNotice: () => void;
}

export class Webhooks {
  readonly #options: WebhooksOptions;

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  async list(
    caller: Caller,
    request: PageRequest & { readonly source: string | undefined; readonly status: string | undefined },
  ): Promise<Page<WebhookView>> {
    const em = organizationScope(this.#options.orm, caller.organizationId);
    const where = {
      ...(request.source ? { source: resolveSource(request.source) } : {}),
      ...(request.status ? { status: request.status as WebhookStatus } : {}),
    };
    const page = await findPage(em, Webhook, where, request, true);
    return { ...page, items: await this.#viewsOf(em, page.items) };
  }

  async get(caller: Caller, id: string): Promise<WebhookView> {
    const em = organizationScope(this.#options.orm, caller.organizationId);
    const webhook = await em.findOne(Webhook, { id });
    if (!webhook) throw noSuchWebhook();
    return await this.#viewOf(em, webhook);
  }

  /**
   * Creates a webhook with both its secrets, which stand in this answer only. Where only the provider can make the
   * inbound one and none is supplied, the webhook has none until it is rotated in.
   */
  async create(caller: Caller, input: NewWebhook): Promise<WebhookView> {
    const { orm, box, clock, checkUrl } = this.#options;
    const em = organizationScope(orm, caller.organizationId);
    const id = newId();
    const now = new Date(clock.now());
    const source = resolveSource(input.source);
    checkSystemSettings(source, { ...input, source });
    const verification = resolveVerification(null, input);
    const webhook = em.create(Webhook, {
      id,
      organizationId: caller.organizationId,
      name: resolveName(input.name),
      url: resolveUrl(input.url ?? null, id, checkUrl),
      source,
      verification,
      delivery: resolveDelivery(null, input),
      description: input.description ?? null,
      events: resolveEvents(input.events ?? []),
      status: resolveStatus("active", input),
      forwardingReason: null,
      forwardingStoppedAt: null,
      version: "1",
      createdAt: now,
      updatedAt: now,
    });
    const secret = chooseSecret(resolveVerifier(source, verification), input.secret);
    const forwardSecret = chooseForwardSecret(undefined);
    const view = await em.transactional(async (tx) => {
      await tx.persist(webhook).flush();
      if (isSystem(webhook)) await checkSystemRoom(tx, caller.organizationId);
      if (secret !== undefined) issueSecret(tx, box, webhook, { purpose: "receive", text: secret, now });
      issueSecret(tx, box, webhook, { purpose: "forward", text: forwardSecret, now });
      const { organizationId } = caller;
      const counters = { webhookId: id, organizationId, deliveryCount: 0, lastDeliveryAt: null, failingSince: null };
      tx.persist(tx.create(WebhookCounters, counters));
      await this.#applyCredentials(tx, webhook, input, true, now);
      await tx.flush();
      return { ...(await this.#viewOf(tx, webhook)), forwardSecret };
    });
    return secret === undefined ? view : { ...view, secret };
  }

  /** Changes the fields that the patch holds. What is still owed is held, released or canceled as the change asks. */
  async update(caller: Caller, id: string, patch: WebhookPatch): Promise<WebhookView> {
    if (Object.keys(patch).length === 0) return await this.get(caller, id);
    const view = await this.#change(caller, id, async (em, webhook, now) => {
      checkSystemSettings(webhook.source, patch);
      const before = forwardingOf(webhook);
      await applyVerification(em, this.#options.box, webhook, patch, now);
      this.#applyFields(webhook, patch);
      const urlChanged = before.url !== (webhook.url ?? null);
      applyForwarding(webhook, patch, urlChanged, now);
      await this.#applyCredentials(em, webhook, patch, urlChanged, now);
      const change = owedChange(before, webhook);
      const notice = forwardingNotice(before, webhook);
      await em.flush();
      if (urlChanged || patch.forwardingState === "active") {
        const [closed] = await em.execute<ClosedCircuit[]>(FORGET_CIRCUIT, [id]);
        if (closed) await em.execute(...noticeStatement(closedNotice(id, closed)));
      }
      if (patch.delivery !== undefined) await em.execute(ROUSE_LANE, [id]);
      if (change) await em.execute(owedStatement(change, "?", this.#options.leaseMs), [webhook.id]);
      if (notice) await em.execute(...noticeStatement(notice));
      if (change === "release" || urlChanged) {
        await em.nativeUpdate(WebhookCounters, { webhookId: id }, { failingSince: null });
      }
      return {};
    });
    this.#options.wake();
    this.#options.maintain();
    this.#options.onNotice();
    return view;
  }

  /** Deletes the webhook, at once for every reader; its history follows in the background. */
  async delete(caller: Caller, id: string): Promise<void> {
    const found = await transaction(this.#options.pool, (client) => deleteWebhook(client, caller.organizationId, id));
    if (!found) throw noSuchWebhook();
    this.#options.maintain();
  }

  /** Replaces the inbound or an outbound secret; the new one stands in this answer only, of an ed25519 key never. */
  async rotate(caller: Caller, id: string, rotation: Rotation): Promise<WebhookView> {
    const { box } = this.#options;
    const { purpose, graceSeconds } = rotation;
    return await this.#change(caller, id, async (em, webhook, now) => {
      if (purpose === "receive") checkSystemSettings(webhook.source, { secret: rotation.secret ?? "" });
      const text = await chooseText(em, webhook, rotation);
      await rotateSecret(em, box, webhook, { purpose, text, now, graceSeconds });
      if (purpose === "ed25519") return {};
      return purpose === "receive" ? { secret: text } : { forwardSecret: text };
    });
  }

  /**
   * Puts the secret in force that the provider sent, in place of every other; it stands in this answer only. CONFLICT
   * if none waits for this, or the webhook cannot use it.
   */
  async confirmSecret(caller: Caller, id: string): Promise<WebhookView> {
    const { box } = this.#options;
    return await this.#change(caller, id, async (em, webhook, now) => {
      const { organizationId } = webhook;
      const [captured] = await em.execute<{ sealed: Buffer }[]>(TAKE_CAPTURED, [id, organizationId]);
      if (!captured) throw new AppError("CONFLICT", "no secret waits to be confirmed: open a window for it first");
      const text = box.open(captured.sealed, { organizationId, webhookId: id, purpose: "receive" });
      const problem = secretProblem(verifierOf(webhook), text);
      if (problem !== null) throw new AppError("CONFLICT", `the secret that was captured ${problem}`);
      await rotateSecret(em, box, webhook, { purpose: "receive", text, now, graceSeconds: 0 });
      return { secret: text };
    });
  }

  /** Changes a locked webhook in one transaction and raises its version. */
  async #change(
    caller: Caller,
    id: string,
    work: (em: EntityManager, webhook: Webhook, now: Date) => Promise<{ secret?: string; forwardSecret?: string }>,
  ): Promise<WebhookView> {
    const em = organizationScope(this.#options.orm, caller.organizationId);
    return await em.transactional(async (tx) => {
      const webhook = await tx.findOne(Webhook, { id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
      if (!webhook) throw noSuchWebhook();
      const now = new Date(this.#options.clock.now());
      webhook.version = String(BigInt(webhook.version) + 1n);
      webhook.updatedAt = now;
      const issued = await work(tx, webhook, now);
      await tx.flush();
      return { ...(await this.#viewOf(tx, webhook)), ...issued };
    });
  }

  async #applyCredentials(
    em: EntityManager,
    webhook: Webhook,
    { credentials: patch = {}, ed25519 }: Pick<WebhookPatch, "credentials" | "ed25519">,
    urlChanged: boolean,
    now: Date,
  ): Promise<void> {
    const { box, checkUrl } = this.#options;
    await applyCredentials(em, box, webhook, { patch, urlChanged, now, checkUrl });
    if (ed25519 !== undefined) await applyEd25519(em, box, webhook, ed25519, now);
  }

  #viewsOf(em: EntityManager, webhooks: readonly Webhook[]): Promise<WebhookView[]> {
    return viewsOf(em, this.#options.box, webhooks, new Date(this.#options.clock.now()));
  }

  async #viewOf(em: EntityManager, webhook: Webhook): Promise<WebhookView> {
    const [view] = await this.#viewsOf(em, [webhook]);
    if (!view) throw noSuchWebhook();
    return view;
  }

  #applyFields(webhook: Webhook, patch: WebhookPatch): void {
    if (patch.name !== undefined) webhook.name = resolveName(patch.name);
    if (patch.url !== undefined) webhook.url = resolveUrl(patch.url, webhook.id, this.#options.checkUrl);
    if (patch.description !== undefined) webhook.description = patch.description;
    if (patch.events !== undefined) webhook.events = resolveEvents(patch.events);
    if (patch.delivery !== undefined) webhook.delivery = resolveDelivery(webhook.delivery ?? null, patch);
    webhook.status = resolveStatus(webhook.status, patch);
  }
}

async function chooseText(em: EntityManager, webhook: Webhook, { purpose, secret }: Rotation): Promise<string> {
  switch (purpose) {
    case "receive":
      return chooseNextSecret(verifierOf(webhook), secret);
    case "forward":
      return chooseForwardSecret(secret);
    case "ed25519":
      return await chooseSigningKey(em, webhook, secret);
  }
}
