import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  CreateWebhookRequest,
  VerifySignatureRequest,
  Webhook,
  WebhookService,
} from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import type { CapturedRequest, Signatures } from "../core/signatures.ts";
import type { SecretPurpose } from "../core/webhook-secrets.ts";
import type { WebhookPatch } from "../core/webhook-settings.ts";
import type { Webhooks } from "../core/webhooks.ts";
import { invalidField } from "../errors.ts";
import { callerOf, incomingKey } from "./context.ts";
import { deliveryField, deliverySettingsOf } from "./delivery-settings.ts";
import { forwardingPatch, populatedForwarding, REPLACEABLE_FORWARDING } from "./forwarding.ts";
import { webhookMessage } from "./messages.ts";
import { pageFields, pageRequest } from "./page-request.ts";
import { settingsOf, VERIFICATION_PATHS } from "./verification.ts";
import { shown } from "./well-formed.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;

export function webhookService(webhooks: Webhooks, signatures: Signatures): ServiceImpl<typeof WebhookService> {
  return {
    async listWebhooks(request, context) {
      const filter = { source: request.source, status: request.status };
      const page = await webhooks.list(callerOf(context), { ...pageRequest(request, LIMIT_DEFAULT), ...filter });
      const origin = context.values.get(incomingKey).origin;
      const items = page.items.map((view) => webhookMessage(view, origin));
      return { items, ...pageFields(page) };
    },
    async createWebhook(request, context) {
      const { forwarding, verification, delivery, ...input } = request as WebhookPatch & CreateWebhookRequest;
      const { forwardingState: _, ...access } = forwardingPatch(forwarding, populatedForwarding(forwarding));
      const settings = {
        ...(verification && { verification: settingsOf(verification) }),
        ...(delivery && { delivery: deliverySettingsOf(delivery) }),
      };
      const view = await webhooks.create(callerOf(context), { ...input, ...access, ...settings });
      return { webhook: webhookMessage(view, context.values.get(incomingKey).origin) };
    },
    async getWebhook({ id }, context) {
      const view = await webhooks.get(callerOf(context), id);
      return { webhook: webhookMessage(view, context.values.get(incomingKey).origin) };
    },
    async updateWebhook({ webhook, updateMask }, context) {
      if (!webhook) throw invalidField("webhook", "required", "must be given");
      const patch = patchOf(webhook, updateMask?.paths ?? []);
      const view = await webhooks.update(callerOf(context), webhook.id, patch);
      return { webhook: webhookMessage(view, context.values.get(incomingKey).origin) };
    },
    async deleteWebhook({ id }, context) {
      await webhooks.delete(callerOf(context), id);
      return { deleted: true };
    },
    async rotateWebhookSecret({ id, secret, gracePeriodSeconds, target }, context) {
      const purpose = (target ?? "receive") as SecretPurpose;
      const rotation = { purpose, secret, graceSeconds: gracePeriodSeconds };
      const view = await webhooks.rotate(callerOf(context), id, rotation);
      return { webhook: webhookMessage(view, context.values.get(incomingKey).origin) };
    },
    async verifySignature(request, context) {
      const verdict = await signatures.verify(callerOf(context), capturedRequest(request));
      return {
        valid: verdict.valid,
        scheme: verdict.scheme,
        ...(verdict.reason === null ? {} : { reason: verdict.reason }),
        ...(verdict.eventType === null ? {} : { eventType: verdict.eventType }),
        ...(verdict.eventId === null ? {} : { eventId: verdict.eventId }),
      };
    },
  };
}

type Take = (webhook: Webhook) => Partial<WebhookPatch>;

/** What each mask path takes from the message; a masked field that is not set means "none". */
const PATCHABLE: ReadonlyMap<string, Take> = new Map<string, Take>([
  ["name", (webhook) => ({ name: webhook.name ?? null })],
  ["url", (webhook) => ({ url: webhook.url ?? null })],
  ["source", (webhook) => ({ source: webhook.source ?? null })],
  ["description", (webhook) => ({ description: webhook.description ?? null })],
  ["events", (webhook) => ({ events: webhook.events })],
  ["status", (webhook) => ({ status: webhook.status ?? null })],
  ["enabled", (webhook) => ({ enabled: webhook.enabled ?? null })],
  ["verification", ({ verification }) => ({ verification: verification ? settingsOf(verification) : null })],
  ["delivery", ({ delivery }) => ({ delivery: delivery ? deliverySettingsOf(delivery) : null })],
  ["secret", (webhook) => (webhook.issuedSecret.case === "secret" ? { secret: webhook.issuedSecret.value } : {})],
]);

/** Begin the path of a single setting of the verification, of the delivery, and that of a field of `forwarding`. */
const SETTING = "verification.";
const DELIVERY = "delivery.";
const FORWARDING = "forwarding.";

/** Fields that a full replacement resets where they are not given. */
const REPLACEABLE = [
  ...["name", "url", "source", "description", "events", "status", "verification", "delivery"],
  ...REPLACEABLE_FORWARDING.map((name) => `${FORWARDING}${name}`),
];
/** Fields that only we write; a client may send them back. */
const OUTPUT_ONLY = new RegExp(
  `^(${[
    ...["id", "delivery_count", "last_delivery_at", "created_at", "updated_at", "receive_url", "forward_secret"],
    "forwarding\\.(reason|stopped_at|failing_since|public_keys|circuit(\\..*)?|client_certificate\\.(subject|issuer|expires_at|fingerprint))",
  ].join("|")})$`,
);

/** The patch that a mask picks out of the message: empty means the populated fields, `*` a full replacement (AIP-134). */
function patchOf(webhook: Webhook, mask: readonly string[]): WebhookPatch {
  const names = mask.length === 0 ? populated(webhook) : mask.includes("*") ? replaced(webhook) : mask;
  const patch: Partial<WebhookPatch> = {};
  const settingPaths: string[] = [];
  const deliveryFields: string[] = [];
  const forwardingPaths: string[] = [];
  for (const path of names) {
    if (OUTPUT_ONLY.test(path)) continue;
    if (path === "forwarding" || path.startsWith(FORWARDING)) {
      const fields = path === "forwarding" ? populatedForwarding(webhook.forwarding) : [path.slice(FORWARDING.length)];
      forwardingPaths.push(...fields);
      continue;
    }
    const settingPath = path.startsWith(SETTING) ? VERIFICATION_PATHS.get(path.slice(SETTING.length)) : undefined;
    if (settingPath !== undefined) settingPaths.push(settingPath);
    const field = path.startsWith(DELIVERY) ? deliveryField(path.slice(DELIVERY.length)) : undefined;
    if (field !== undefined) deliveryFields.push(field);
    const whole = settingPath !== undefined ? "verification" : field !== undefined ? "delivery" : path;
    const take = PATCHABLE.get(whole);
    if (!take) throw invalidField("updateMask", "unknown", `names no field of a webhook: "${shown(path)}"`);
    Object.assign(patch, take(webhook));
  }
  Object.assign(patch, forwardingPatch(webhook.forwarding, forwardingPaths));
  return {
    ...patch,
    ...(settingPaths.length > 0 && !names.includes("verification") && { verificationPaths: settingPaths }),
    ...(deliveryFields.length > 0 && !names.includes("delivery") && { deliveryFields }),
  };
}

function populated(webhook: Webhook): string[] {
  const names = [
    ...(["name", "url", "source", "description", "status", "enabled", "forwarding"] as const),
    ...(["verification", "delivery"] as const),
  ];
  const set: string[] = names.filter((name) => webhook[name] !== undefined);
  if (webhook.events.length > 0) set.push("events");
  if (webhook.issuedSecret.case === "secret") set.push("secret");
  return set;
}

function replaced(webhook: Webhook): string[] {
  if (webhook.status !== undefined || webhook.enabled === undefined) webhook.status ??= "active";
  const status = webhook.status === undefined ? REPLACEABLE.filter((name) => name !== "status") : REPLACEABLE;
  return [...new Set([...status, ...populated(webhook)])];
}

function capturedRequest(request: VerifySignatureRequest): CapturedRequest {
  const { webhookId, source = "", secret = "" } = request;
  const verification = request.verification ? settingsOf(request.verification) : null;
  return {
    subject: webhookId === undefined ? { source, secret, verification } : { webhookId },
    headers: request.headers,
    body: Buffer.from(request.body ?? request.payload ?? ""),
    method: request.method ?? "POST",
    url: request.url,
    atMs: request.at ? timestampMs(request.at) : undefined,
  };
}
