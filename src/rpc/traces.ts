import type { ServiceImpl } from "@connectrpc/connect";
import type { TraceService } from "../../gen/alumia/webhooks/v1/trace_service_pb.ts";
import type { Rejections } from "../core/rejections.ts";
import { callerOf } from "./context.ts";
import { rejectionMessage } from "./messages.ts";
import { pageFields, pageRequest } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;

export function traceService(rejections: Rejections): ServiceImpl<typeof TraceService> {
  return {
    async listWebhookRejections(request, context) {
      const { webhookId } = request;
      const page = await rejections.list(callerOf(context), webhookId, pageRequest(request, LIMIT_DEFAULT));
      return { items: page.items.map(rejectionMessage), ...pageFields(page) };
    },
  };
}
