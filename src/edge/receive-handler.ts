/**
 * The raw receive path: a plain handler in front of everything else. Cheap refusals come before a body is read; the
 * body is read under a cap of its own and a budget shared by all receives.
 */

import { isUuid } from "../core/ids.ts";
import type { HeaderList, Receiver } from "../core/receive.ts";
import { noSuchWebhook, RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { readRawBody } from "../transcode/body-reader.ts";
import type { BodyHold } from "./body-budget.ts";
import { type Exchange, encodeError, type HttpRequest, sendError, sendJson, sendMethodNotAllowed } from "./exchange.ts";

export interface ReceiveHandlerOptions {
  readonly receiver: Receiver;
  readonly logger: Logger;
  /** Cap of one body, bytes. */
  readonly bodyBytesMax: number;
  /** Opens the account of one request's body. */
  readonly holdBody: (request: HttpRequest) => BodyHold;
}

export function createReceiveHandler(options: ReceiveHandlerOptions) {
  const { receiver, logger, bodyBytesMax, holdBody } = options;

  async function receive(exchange: Exchange, webhookId: string): Promise<void> {
    const { request } = exchange;
    const hold = holdBody(request);
    try {
      if (!isUuid(webhookId)) throw noSuchWebhook();
      const body = await readRawBody(exchange, { bytesMax: bodyBytesMax, meter: hold });
      const receipt = await receiver.receive({
        webhookId,
        request: { header: headerLookup(request), body, method: "POST", url: undefined },
        headers: headerList(request.rawHeaders),
        contentType: request.headers["content-type"] ?? null,
        synthetic: false,
      });
      sendJson(exchange, 200, { received: true, eventId: receipt.eventId, duplicate: receipt.duplicate });
    } catch (error) {
      answerError(exchange, error);
    } finally {
      hold.release();
    }
  }

  function answerError(exchange: Exchange, error: unknown): void {
    const rest = encodeError(error);
    if (rest.status >= 500)
      logger.error({ err: error instanceof AppError ? (error.cause ?? error) : error }, "a receive failed");
    sendError(exchange, rest);
  }

  return (exchange: Exchange, path: string): void => {
    if (exchange.request.method !== "POST") sendMethodNotAllowed(exchange, "POST");
    else void receive(exchange, path.slice(RECEIVE_PATH.length));
  };
}

/** Names and values as they came; HTTP/2's pseudo-headers are no headers of the event. */
function headerList(raw: readonly string[]): HeaderList {
  const headers: HeaderList = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (!name.startsWith(":")) headers.push([name, raw[index + 1] ?? ""]);
  }
  return headers;
}

function headerLookup(request: HttpRequest): (name: string) => string | undefined {
  return (name) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
}
