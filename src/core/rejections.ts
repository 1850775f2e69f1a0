/** Refused receives of one webhook, as far as a trace of them is kept. */
import { ReceiveTrace } from "../store/entities/receive-trace.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import type { Caller } from "./caller.ts";
import { findPage, type Page, type PageRequest } from "./pages.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export class Rejections {
  readonly #orm: Orm;

  constructor({ orm }: { orm: Orm }) {
    this.#orm = orm;
  }

  async list(caller: Caller, webhookId: string, request: PageRequest): Promise<Page<ReceiveTrace>> {
    const em = organizationScope(this.#orm, caller.organizationId);
    if (!(await em.findOne(Webhook, { id: webhookId }))) throw noSuchWebhook();
    return await findPage(em, ReceiveTrace, { webhookId }, request, false);
  }
}
