import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import type { HttpBody } from "../../gen/google/api/httpbody_pb.ts";
import type { Inbound } from "../core/inbound.ts";
import type { LinearReceiver } from "../core/linear-receiver.ts";
import { type Receipt, type Receiver, receiptOf } from "../core/receive.ts";
import { RefusedReceive, type TracedAnswer } from "../core/refused-receive.ts";
import { LINEAR_PATH, RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { HandshakeReply } from "../signature/handshakes.ts";
import type { HeaderList } from "../store/entities/event.ts";
import { incomingKey } from "./context.ts";
import { type RestError, toRestError } from "./error-mapping.ts";

/** Headers that belong to the call, not to the event that it carries. */
const CALL_HEADERS = /^(content-type|content-length|te|grpc-.*|connect-.*|accept-encoding|user-agent|host|:.*)$/;

export interface ReceiveServiceOptions {
  readonly receiver: Receiver;
  readonly linear: LinearReceiver;
  /** Cap of one body, bytes. */
  readonly payloadBytesMax: number;
  /** The origin at which providers reach us; schemes that sign the URL need it. */
  readonly publicUrl: string | undefined;
}

/** Receiving over RPC: the call's metadata stand for the request's headers. */
export function receiveService(options: ReceiveServiceOptions): ServiceImpl<typeof ReceiveService> {
  const { receiver, linear } = options;
  return {
    receive: ({ webhookId, body }, context) => {
      const at = { webhookId, target: RECEIVE_PATH + webhookId };
      return receive(options, context, body, at, (inbound) => receiver.receive({ ...inbound, webhookId }));
    },
    receiveLinear: ({ body }, context) => {
      const at = { webhookId: undefined, target: LINEAR_PATH };
      return receive(options, context, body, at, (inbound) => {
        linear.admit({ request: inbound.request, bodyBytes: inbound.request.body.length });
        return linear.receive(inbound);
      });
    },
  };
}

async function receive(
  { receiver, payloadBytesMax, publicUrl }: ReceiveServiceOptions,
  context: HandlerContext,
  { contentType: type = "", data = new Uint8Array() }: Partial<HttpBody> = {},
  { webhookId, target }: { readonly webhookId: string | undefined; readonly target: string },
  record: (inbound: Omit<Inbound, "webhookId">) => Promise<Receipt | HandshakeReply>,
) {
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const contentType = type || null;
  const headers = metadataOf(context, contentType);
  const remote = { address: context.values.get(incomingKey).address, client: context.values.get(incomingKey).client };
  let leave: (() => void) | undefined;
  try {
    leave = receiver.enter(remote.client);
    if (body.length > payloadBytesMax) {
      throw new AppError("PAYLOAD_TOO_LARGE", `the body is larger than ${payloadBytesMax} bytes`);
    }
    const lookup = new Map(headers);
    const url = publicUrl && publicUrl + target;
    const request = { header: (name: string) => lookup.get(name), body, method: "POST", url, target };
    const { eventId, duplicate } = receiptOf(await record({ request, headers, contentType, synthetic: false, remote }));
    leave();
    return { received: true, eventId, duplicate };
  } catch (error) {
    const rest = toRestError(error);
    receiver.refused(rest.body.error.code);
    const traced = { method: "POST", headers, contentType, body, size: body.length, remote };
    if (leave) void receiver.leaveTrace(traced, answerOf(error, rest, webhookId)).finally(leave);
    throw error;
  }
}

/** How a request was refused, as the trace of it says; `webhookId` where the path told whose it is. */
export function answerOf(error: unknown, { status, body }: RestError, webhookId: string | undefined): TracedAnswer {
  const refused = error instanceof RefusedReceive ? error : undefined;
  return {
    webhookId: webhookId ?? refused?.webhookId,
    check: refused?.check ?? body.error.code.toLowerCase(),
    reason: body.error.message,
    statusCode: status,
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
