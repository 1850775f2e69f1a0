/**
 * Secrets that providers make and send to the webhook's URL, unsigned. Anybody can send one, so it is taken only while
 * the owner waits for it, one in each window, and counts once the owner has confirmed it.
 *
 *   open ──(the provider sends a secret)──► captured ──(confirm)──► in force, in place of the one before
 *     └──────────(the time is over)──────────────┴──► ended
 */
import type { Pool } from "pg";
import { AppError } from "../errors.ts";
import type { SecretBox } from "../security/secret-box.ts";
import { type Capture, findCapture, keepCaptured, openCapture } from "../store/sql/captures.ts";
import type { Caller } from "./caller.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";
import { noSuchWebhook } from "./webhook-settings.ts";
import { verifierOf } from "./webhook-verification.ts";
import type { WebhookView } from "./webhook-view.ts";
import type { Webhooks } from "./webhooks.ts";

export interface SecretCapturesOptions {
  readonly pool: Pool;
  readonly box: SecretBox;
  readonly webhooks: Webhooks;
}

/** How long what was captured can be confirmed, seconds. */
const KEPT_SECONDS = 24 * 3_600;

export class SecretCaptures {
  readonly #options: SecretCapturesOptions;

  constructor(options: SecretCapturesOptions) {
    this.#options = options;
  }

  /** Opens a window, in place of one before it and of what was captured there. */
  async open(caller: Caller, webhookId: string, seconds: number): Promise<Capture> {
    const { pool, webhooks } = this.#options;
    const { webhook } = await webhooks.get(caller, webhookId);
    if (!verifierOf(webhook).handshakes.some(({ kind }) => kind === "capture-secret")) {
      throw new AppError("CONFLICT", `source "${webhook.source}" does not send its secret; rotate it in`);
    }
    const capture = await openCapture(pool, caller.organizationId, webhookId, seconds);
    if (!capture) throw noSuchWebhook();
    return capture;
  }

  async get(caller: Caller, webhookId: string): Promise<Capture> {
    const capture = await findCapture(this.#options.pool, caller.organizationId, webhookId);
    if (!capture) throw new AppError("NOT_FOUND", "no secret is, or was, waited for");
    return capture;
  }

  /** Puts what was captured in force; it stands in this answer only. CONFLICT if nothing was, or its time is over. */
  async confirm(caller: Caller, webhookId: string): Promise<WebhookView> {
    return await this.#options.webhooks.confirmSecret(caller, webhookId);
  }

  /** Keeps a secret that came for the webhook; false if nobody waits for one any more. */
  async keep({ record }: ReceivingWebhook, text: string, remoteAddress: string): Promise<boolean> {
    const { pool, box } = this.#options;
    const { id: webhookId, organizationId } = record;
    const sealed = box.seal(text, { organizationId, webhookId, purpose: "receive" });
    return await keepCaptured(pool, { webhookId, sealed, remoteAddress, keptSeconds: KEPT_SECONDS });
  }
}
