import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import type { Receiver } from "../core/receive.ts";
import { RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { HeaderList } from "../store/entities/event.ts";
import { clientKey } from "./context.ts";

/** Headers that belong to the call, not to the event that it carries. */
const CALL_HEADERS = /^(content-type|content-length|te|grpc-.*|connect-.*|accept-encoding|user-agent|host|:.*)$/;

/** Receiving over RPC: the call's metadata stand for the request's headers. */
export function receiveService(
  receiver: Receiver,
  { payloadBytesMax: bodyBytesMax, publicUrl }: { payloadBytesMax: number; publicUrl: string | undefined },
): ServiceImpl<typeof ReceiveService> {
  return {
    async receive({ webhookId, body }, context) {
      const { buffer, byteOffset, byteLength } = body?.data ?? new Uint8Array();
      const data = Buffer.from(buffer, byteOffset, byteLength);
      if (data.length > bodyBytesMax) {
        throw new AppError("PAYLOAD_TOO_LARGE", `the body is larger than ${bodyBytesMax} bytes`);
      }
      const contentType = body?.contentType || null;
      const headers = metadataOf(context, contentType);
      const lookup = new Map(headers);
      const target = RECEIVE_PATH + webhookId;
      const url = publicUrl && publicUrl + target;
      const request = { header: (name: string) => lookup.get(name), body: data, method: "POST", url, target };
      const leave = receiver.enter(context.values.get(clientKey));
      try {
        const inbound = { webhookId, request, headers, contentType, synthetic: false };
        const { eventId, duplicate } = await receiver.receive(inbound);
        return { received: true, eventId, duplicate };
      } finally {
        leave();
      }
    },
  };
}

function metadataOf(context: HandlerContext, contentType: string | null): HeaderList {
  const headers: HeaderList = [];
  context.requestHeader.forEach((value, name) => {
    if (!CALL_HEADERS.test(name)) headers.push([name, value]);
  });
  if (contentType !== null) headers.push(["content-type", contentType]);
  return headers;
}
