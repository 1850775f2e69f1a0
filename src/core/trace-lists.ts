/** What requests to a webhook became that did not become events, as far as traces of them are kept. */
import { ReceiveTrace } from "../store/entities/receive-trace.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import type { Caller } from "./caller.ts";
import { findPage, type Page, type PageRequest } from "./pages.ts";
import { HANDSHAKE } from "./refused-receive.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export class TraceLists {
  readonly #orm: Orm;

  constructor({ orm }: { orm: Orm }) {
    this.#orm = orm;
  }

  async rejections(caller: Caller, webhookId: string, request: PageRequest): Promise<Page<ReceiveTrace>> {
    return await this.#list(caller, { webhookId, check: { $ne: HANDSHAKE } }, request);
  }

  async handshakes(caller: Caller, webhookId: string, request: PageRequest): Promise<Page<ReceiveTrace>> {
    return await this.#list(caller, { webhookId, check: HANDSHAKE }, request);
  }

  async #list(
    caller: Caller,
    where: { readonly webhookId: string; readonly check: string | { readonly $ne: string } },
    request: PageRequest,
  ): Promise<Page<ReceiveTrace>> {
    const em = organizationScope(this.#orm, caller.organizationId);
    if (!(await em.findOne(Webhook, { id: where.webhookId }))) throw noSuchWebhook();
    return await findPage(em, ReceiveTrace, where, request, false);
  }
}
