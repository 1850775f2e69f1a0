/**
 * The raw receive path: a plain handler in front of everything else. Cheap refusals come before a body is read; the
 * body is read under a cap of its own and a budget shared by all receives.
 */

import { isUuid } from "../core/ids.ts";
import type { HeaderList, Receiver } from "../core/receive.ts";
import { noSuchWebhook, RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { toRestError } from "../rpc/error-mapping.ts";
import { type Exchange, type HttpRequest, sendError, sendJson, sendMethodNotAllowed } from "./exchange.ts";

export interface ReceiveHandlerOptions {
  readonly receiver: Receiver;
  readonly logger: Logger;
  /** Cap of one body, bytes. */
  readonly bodyBytesMax: number;
  /** Bodies held in memory by all receives together, bytes. */
  readonly bodyBytesInMemoryMax: number;
}

export function createReceiveHandler(options: ReceiveHandlerOptions) {
  const { receiver, logger, bodyBytesMax, bodyBytesInMemoryMax } = options;
  let bytesInMemory = 0;

  /** Reads the whole body; its bytes count against the budget until `release` is called. */
  function readBody(request: HttpRequest): Promise<{ body: Buffer; release: () => void }> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const release = () => {
        bytesInMemory -= size;
        size = 0;
      };
      const refuse = (error: unknown) => {
        request.off("data", onData).off("end", onEnd).off("error", refuse).off("close", onClose);
        release();
        reject(error);
      };
      const onData = (chunk: Buffer) => {
        size += chunk.length;
        bytesInMemory += chunk.length;
        chunks.push(chunk);
        if (size > bodyBytesMax) refuse(tooLarge(bodyBytesMax));
        else if (bytesInMemory > bodyBytesInMemoryMax)
          refuse(new AppError("SERVICE_UNAVAILABLE", "the server is full"));
      };
      const onEnd = () => {
        // An HTTP/2 stream that is reset with NO_ERROR in the middle of its body ends as if that were all of it.
        if (request.aborted) {
          refuse(new SenderGoneError());
          return;
        }
        request.off("close", onClose);
        resolve({ body: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size), release });
      };
      const onClose = () => refuse(new SenderGoneError());
      if (Number(request.headers["content-length"] ?? 0) > bodyBytesMax) {
        reject(tooLarge(bodyBytesMax));
        return;
      }
      request.on("data", onData).on("end", onEnd).on("error", refuse).on("close", onClose);
    });
  }

  async function receive(exchange: Exchange, webhookId: string): Promise<void> {
    const { request } = exchange;
    let release = () => {};
    try {
      if (!isUuid(webhookId)) throw noSuchWebhook();
      const read = await readBody(request);
      release = read.release;
      const receipt = await receiver.receive({
        webhookId,
        request: { header: headerLookup(request), body: read.body, method: "POST", url: undefined },
        headers: headerList(request.rawHeaders),
        contentType: request.headers["content-type"] ?? null,
        synthetic: false,
      });
      sendJson(exchange, 200, { received: true, eventId: receipt.eventId, duplicate: receipt.duplicate });
    } catch (error) {
      answerError(exchange, error);
    } finally {
      release();
    }
  }

  function answerError(exchange: Exchange, error: unknown): void {
    // A sender that went away in the middle of its body gets no answer and is no fault of ours.
    if (error instanceof SenderGoneError || (!(error instanceof AppError) && exchange.request.errored)) return;
    const rest = toRestError(error);
    if (rest.status >= 500)
      logger.error({ err: error instanceof AppError ? (error.cause ?? error) : error }, "a receive failed");
    sendError(exchange, rest);
  }

  return (exchange: Exchange, path: string): void => {
    if (exchange.request.method !== "POST") sendMethodNotAllowed(exchange, "POST");
    else void receive(exchange, path.slice(RECEIVE_PATH.length));
  };
}

/** The connection ended before the body did. */
class SenderGoneError extends Error {}

const tooLarge = (max: number) => new AppError("PAYLOAD_TOO_LARGE", `the body is larger than ${max} bytes`);

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
