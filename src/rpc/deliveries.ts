import type { ServiceImpl } from "@connectrpc/connect";
import type { DeliveryService } from "../../gen/alumia/webhooks/v1/delivery_service_pb.ts";
import type { Deliveries } from "../core/deliveries.ts";
import { callerOf } from "./context.ts";
import { deliveryMessage, deliverySummary } from "./messages.ts";
import { pageFields, pageRequest } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;

export function deliveryService(deliveries: Deliveries): ServiceImpl<typeof DeliveryService> {
  return {
    async listWebhookDeliveries(request, context) {
      const filter = { ...pageRequest(request, LIMIT_DEFAULT), status: request.status };
      const page = await deliveries.listOfWebhook(callerOf(context), request.webhookId, filter);
      return { items: page.items.map(deliverySummary), ...pageFields(page) };
    },
    async getDelivery({ id }, context) {
      return { delivery: deliveryMessage(await deliveries.get(callerOf(context), id)) };
    },
    async retryDelivery({ id }, context) {
      return { delivery: deliveryMessage(await deliveries.retry(callerOf(context), id)) };
    },
  };
}
