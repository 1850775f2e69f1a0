import type { ServiceImpl } from "@connectrpc/connect";
import type {
  DeliveryService,
  ListDeliveriesRequest,
  ListWebhookDeliveriesRequest,
} from "../../gen/alumia/webhooks/v1/delivery_service_pb.ts";
import type { Deliveries, DeliveryQuery, DeliveryView } from "../core/deliveries.ts";
import type { PageRequest } from "../core/pages.ts";
import type { ScannedPage } from "../core/scans.ts";
import { callerOf } from "./context.ts";
import { deliveryMessage, deliverySummary } from "./messages.ts";
import { pageRequest, scannedPageFields, timeRange } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;

export function deliveryService(deliveries: Deliveries): ServiceImpl<typeof DeliveryService> {
  return {
    async listDeliveries(request, context) {
      return pageMessage(await deliveries.list(callerOf(context), listRequest(request)));
    },
    async listWebhookDeliveries(request, context) {
      return pageMessage(await deliveries.list(callerOf(context), listRequest(request)));
    },
    async getDelivery({ id }, context) {
      return { delivery: deliveryMessage(await deliveries.get(callerOf(context), id)) };
    },
    async retryDelivery({ id }, context) {
      return { delivery: deliveryMessage(await deliveries.retry(callerOf(context), id)) };
    },
    async cancelDelivery({ id }, context) {
      return { delivery: deliveryMessage(await deliveries.cancel(callerOf(context), id)) };
    },
  };
}

function listRequest(request: ListDeliveriesRequest | ListWebhookDeliveriesRequest): PageRequest & DeliveryQuery {
  const { webhookId, status, type, errorCode, eventId } = request;
  const filter = { webhookId, statuses: status, type, errorCode, eventId, ...timeRange(request) };
  return { ...pageRequest(request, LIMIT_DEFAULT), ...filter };
}

function pageMessage(page: ScannedPage<DeliveryView>) {
  return { items: page.items.map(deliverySummary), ...scannedPageFields(page) };
}
