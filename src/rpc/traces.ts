import type { ServiceImpl } from "@connectrpc/connect";
import type { TraceService } from "../../gen/alumia/webhooks/v1/trace_service_pb.ts";
import type { TraceLists } from "../core/trace-lists.ts";
import { callerOf } from "./context.ts";
import { pageFields, pageRequest } from "./page-request.ts";
import { handshakeMessage, rejectionMessage } from "./receiving-messages.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;

export function traceService(traces: TraceLists): ServiceImpl<typeof TraceService> {
  return {
    async listWebhookRejections(request, context) {
      const asked = pageRequest(request, LIMIT_DEFAULT);
      const page = await traces.rejections(callerOf(context), request.webhookId, asked);
      return { items: page.items.map(rejectionMessage), ...pageFields(page) };
    },
    async listWebhookHandshakes(request, context) {
      const asked = pageRequest(request, LIMIT_DEFAULT);
      const page = await traces.handshakes(callerOf(context), request.webhookId, asked);
      return { items: page.items.map(handshakeMessage), ...pageFields(page) };
    },
  };
}
