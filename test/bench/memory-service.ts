/** Our services over a core that answers from memory, so that a measurement shows the edge and nothing below it. */
import { pino } from "pino";
import { LIMITS } from "../../src/config.ts";
import type { ApiKeys } from "../../src/core/api-keys.ts";
import { NO_FORWARDING } from "../../src/core/forwarding-view.ts";
import type { WebhookView } from "../../src/core/webhook-view.ts";
import type { Webhooks } from "../../src/core/webhooks.ts";
import { AppError } from "../../src/errors.ts";
import { createRpcServer, type RpcOptions, type RpcServer } from "../../src/rpc/server.ts";

export const KEY = `alm_live_${"0".repeat(32)}`;
export const WEBHOOK_ID = "01890a5d-ac96-774b-bcce-b302099a8057";

const VIEW = {
  webhook: {
    id: WEBHOOK_ID,
    organizationId: "01890a5d-ac96-774b-bcce-b302099a8058",
    name: "Orders",
    url: "https://example.com/hook",
    source: "stripe",
    description: null,
    events: ["order.paid", "order.refunded"],
    status: "active",
    forwardingReason: null,
    forwardingStoppedAt: null,
    version: "1",
    createdAt: new Date(1_700_000_000_000),
    updatedAt: new Date(1_700_000_000_000),
  },
  deliveryCount: 42,
  lastDeliveryAt: new Date(1_700_000_100_000),
  forwarding: NO_FORWARDING,
} as WebhookView;

const webhooks: Pick<Webhooks, "get"> = {
  get: async (_caller, id) => {
    if (id !== WEBHOOK_ID) throw new AppError("NOT_FOUND", "no such webhook");
    return VIEW;
  },
};

const apiKeys: Pick<ApiKeys, "authenticate" | "present"> = {
  present: (authorization) => (authorization ? { hash: authorization, owner: undefined } : undefined),
  authenticate: async (key) => {
    if (key?.hash !== `Bearer ${KEY}`) throw new AppError("UNAUTHORIZED", "unknown");
    return { organizationId: VIEW.webhook.organizationId };
  },
};

export const logger = pino({ level: "silent" });

export function createMemoryRpc(): RpcServer {
  const sizes = { payloadBytesMax: 1, bodyChunkBytes: LIMITS.bodyChunkBytes, limits: LIMITS };
  const parts = { webhooks, apiKeys, logger, ...sizes };
  return createRpcServer(parts as unknown as RpcOptions);
}
