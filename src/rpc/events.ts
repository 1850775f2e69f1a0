import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  EventService,
  ListEventsRequest,
  ListWebhookEventsRequest,
} from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import type { Events, EventView } from "../core/events.ts";
import type { ScannedPage } from "../core/scans.ts";
import type { Signatures } from "../core/signatures.ts";
import { callerOf } from "./context.ts";
import { deliverySummary, eventMessage, eventSummary } from "./messages.ts";
import { pageRequest, scannedPageFields, timeRange } from "./page-request.ts";

/** Items of a page where no limit is asked for. */
const LIMIT_DEFAULT = 50;
const RECENT_LIMIT_DEFAULT = 100;

export function eventService(
  events: Events,
  signatures: Signatures,
  bodyChunkBytes: number,
): ServiceImpl<typeof EventService> {
  return {
    async listWebhookEvents(request, context) {
      return pageMessage(await events.list(callerOf(context), listRequest(request, LIMIT_DEFAULT)));
    },
    async listEvents(request, context) {
      return pageMessage(await events.list(callerOf(context), listRequest(request, RECENT_LIMIT_DEFAULT)));
    },
    async getEvent({ id }, context) {
      return { event: eventMessage(await events.get(callerOf(context), id)) };
    },
    async *getEventBody({ id }, context) {
      const { contentType, body } = await events.body(callerOf(context), id);
      yield {
        body: { contentType: contentType ?? "application/octet-stream", data: body.subarray(0, bodyChunkBytes) },
      };
      for (let at = bodyChunkBytes; at < body.length; at += bodyChunkBytes) {
        yield { body: { data: body.subarray(at, at + bodyChunkBytes) } };
      }
    },
    async replayEvent({ id }, context) {
      const deliveries = await events.replay(callerOf(context), id);
      return { deliveries: deliveries.map(deliverySummary) };
    },
    async sendTestEvent({ webhookId, eventType, payload }, context) {
      const caller = callerOf(context);
      const json = payload === undefined ? undefined : toJson(ValueSchema, payload);
      const receipt = await signatures.sendTest(caller, { webhookId, eventType, payload: json });
      return { event: eventMessage(await events.get(caller, receipt.eventId)) };
    },
  };
}

function listRequest(request: ListEventsRequest | ListWebhookEventsRequest, limitDefault: number) {
  const { webhookId, status, type, verified, sourceEventId, search } = request;
  const filter = { webhookId, statuses: status, type, verified, sourceEventId, search, ...timeRange(request) };
  return { ...pageRequest(request, limitDefault), ...filter };
}

function pageMessage(page: ScannedPage<EventView>) {
  return { items: page.items.map(eventSummary), ...scannedPageFields(page) };
}
