/** What holds for webhooks of the built-in source `system`: they tell of this service, and nothing is sent to them. */
import type { EntityManager } from "@mikro-orm/postgresql";
import { AppError, invalidField } from "../errors.ts";
import { SYSTEM } from "../signature/system.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { resolveSource, type WebhookPatch } from "./webhook-settings.ts";

/** Webhooks of source `system` that an organization may have: every operational event is recorded for each. */
const SYSTEM_WEBHOOKS_MAX = 10;

export const isSystem = ({ source }: { readonly source: string }): boolean => source === SYSTEM.name;

/** BAD_REQUEST for settings of receiving, and for a webhook that should become one of source `system`, or cease to be. */
export function checkSystemSettings(source: string, patch: Omit<WebhookPatch, "name">): void {
  const next = patch.source === undefined ? source : resolveSource(patch.source);
  if ((next === SYSTEM.name) !== (source === SYSTEM.name)) {
    throw invalidField("source", "system", 'cannot change from or to "system"; create another webhook');
  }
  if (source !== SYSTEM.name) return;
  const why = "is not taken: events of source system are made here, and nobody sends any";
  if (patch.secret !== undefined) throw invalidField("secret", "system", why);
  if (patch.verification && Object.keys(patch.verification).length > 0) {
    throw invalidField("verification", "system", why);
  }
}

/** CONFLICT if the organization has more than it may. To be asked in the transaction that has made another. */
export async function checkSystemRoom(em: EntityManager, organizationId: string): Promise<void> {
  await em.execute("select 1 from organizations where id = ? for no key update", [organizationId]);
  if ((await em.count(Webhook, { source: SYSTEM.name })) <= SYSTEM_WEBHOOKS_MAX) return;
  throw new AppError("CONFLICT", `an organization has at most ${SYSTEM_WEBHOOKS_MAX} webhooks of source system`);
}
