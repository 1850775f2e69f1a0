import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import type { Events } from "../core/events.ts";
import type { Signatures } from "../core/signatures.ts";
import { callerOf } from "./context.ts";
import { deliverySummary, eventMessage, eventSummary } from "./messages.ts";
import { pageFields, pageRequest } from "./page-request.ts";

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
      const page = await events.listOfWebhook(
        callerOf(context),
        request.webhookId,
        pageRequest(request, LIMIT_DEFAULT),
      );
      return { items: page.items.map(eventSummary), ...pageFields(page) };
    },
    async listEvents(request, context) {
      const page = await events.list(callerOf(context), pageRequest(request, RECENT_LIMIT_DEFAULT));
      return { items: page.items.map(eventSummary), ...pageFields(page) };
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
