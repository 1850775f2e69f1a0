import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import type { Receiver } from "../core/receive.ts";
import { type Refusal, RefusedReceive } from "../core/refused-receive.ts";
import { RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { HeaderList } from "../store/entities/event.ts";
import { addressKey, clientKey } from "./context.ts";
import { type RestError, toRestError } from "./error-mapping.ts";

/** Headers that belong to the call, not to the event that it carries. */
const CALL_HEADERS = /^(content-type|content-length|te|grpc-.*|connect-.*|accept-encoding|user-agent|host|:.*)$/;

/** Receiving over RPC: the call's metadata stand for the request's headers. */
export function receiveService(
  receiver: Receiver,
  { payloadBytesMax: bodyBytesMax, publicUrl }: { payloadBytesMax: number; publicUrl: string | undefined },
): ServiceImpl<typeof ReceiveService> {
  return {
    async receive({ webhookId, body: httpBody }, context) {
      const { buffer, byteOffset, byteLength } = httpBody?.data ?? new Uint8Array();
      const body = Buffer.from(buffer, byteOffset, byteLength);
      const contentType = httpBody?.contentType || null;
      const headers = metadataOf(context, contentType);
      const client = context.values.get(clientKey);
      const leave = receiver.enter(client);
      try {
        if (body.length > bodyBytesMax) {
          throw new AppError("PAYLOAD_TOO_LARGE", `the body is larger than ${bodyBytesMax} bytes`);
        }
        const lookup = new Map(headers);
        const target = RECEIVE_PATH + webhookId;
        const url = publicUrl && publicUrl + target;
        const request = { header: (name: string) => lookup.get(name), body, method: "POST", url, target };
        const inbound = { webhookId, request, headers, contentType, synthetic: false };
        const { eventId, duplicate } = await receiver.receive(inbound);
        leave();
        return { received: true, eventId, duplicate };
      } catch (error) {
        const remoteAddress = context.values.get(addressKey);
        const refused = {
          webhookId,
          method: "POST",
          headers,
          contentType,
          body,
          size: body.length,
          remoteAddress,
          client,
        };
        void receiver.leaveTrace(refused, refusalOf(error, toRestError(error))).finally(leave);
        throw error;
      }
    },
  };
}

/** How a request was refused, as the trace of it says. */
export function refusalOf(error: unknown, { status, body }: RestError): Refusal {
  const check = error instanceof RefusedReceive ? error.check : body.error.code.toLowerCase();
  return { check, reason: body.error.message, statusCode: status };
}

function metadataOf(context: HandlerContext, contentType: string | null): HeaderList {
  const headers: HeaderList = [];
  context.requestHeader.forEach((value, name) => {
    if (!CALL_HEADERS.test(name)) headers.push([name, value]);
  });
  if (contentType !== null) headers.push(["content-type", contentType]);
  return headers;
}
