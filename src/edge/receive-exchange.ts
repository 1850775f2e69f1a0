/** Requests as receiving takes them, and its answers. */
import type { InboundHead } from "../core/inbound.ts";
import type { Receipt } from "../core/receive.ts";
import type { HandshakeReply } from "../signature/handshakes.ts";
import { sendAnswer } from "../transcode/answer.ts";
import { targetOf } from "../transcode/http-exchange.ts";
import { type Exchange, type HttpRequest, sendJson } from "./exchange.ts";

/** `publicUrl` is the origin that the sender knows, where it is known. */
export function headOf(request: HttpRequest, publicUrl: string | undefined): InboundHead["request"] {
  const target = targetOf(request);
  return { header: headerLookup(request), method: request.method ?? "", url: publicUrl && publicUrl + target, target };
}

/** Names and values as they came; HTTP/2's pseudo-headers are no headers of the event. */
export function headerList(raw: readonly string[]): [name: string, value: string][] {
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (!name.startsWith(":")) headers.push([name, raw[index + 1] ?? ""]);
  }
  return headers;
}

export const contentTypeOf = (request: HttpRequest): string | null => request.headers["content-type"] ?? null;

function headerLookup(request: HttpRequest): (name: string) => string | undefined {
  return (name) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
}

/** The answer to a handshake; or what the provider wants to hear of its event, by default our receipt. */
export function sendReceived(exchange: Exchange, received: Receipt | HandshakeReply): void {
  if (!("eventId" in received)) {
    sendAnswer(exchange, { status: received.status, headers: { ...received.headers }, body: received.body });
    return;
  }
  const { eventId, duplicate, success } = received;
  const { status = 200, body, contentType } = success ?? {};
  if (body === undefined && status !== 204) sendJson(exchange, status, { received: true, eventId, duplicate });
  else sendAnswer(exchange, { status, headers: contentType ? { "content-type": contentType } : {}, body: body ?? "" });
}
