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
import { type EdgeRequest, type EdgeResponse, sendError, sendJson, sendMethodNotAllowed } from "./exchange.ts";

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

  /** Reads the whole body; the budget is held until `release` is called. */
  async function readBody(request: EdgeRequest): Promise<{ body: Buffer; release: () => void }> {
    const declared = Number(request.headers["content-length"] ?? 0);
    if (declared > bodyBytesMax) throw tooLarge(bodyBytesMax);
    const chunks: Buffer[] = [];
    let size = 0;
    const release = () => {
      bytesInMemory -= size;
      size = 0;
    };
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        size += chunk.length;
        bytesInMemory += chunk.length;
        if (size > bodyBytesMax) throw tooLarge(bodyBytesMax);
        if (bytesInMemory > bodyBytesInMemoryMax) throw new AppError("SERVICE_UNAVAILABLE", "the server is full");
        chunks.push(chunk);
      }
    } catch (error) {
      release();
      throw error;
    }
    return { body: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks), release };
  }

  async function receive(request: EdgeRequest, response: EdgeResponse, webhookId: string): Promise<void> {
    let release = () => {};
    try {
      if (!isUuid(webhookId)) throw noSuchWebhook();
      const read = await readBody(request);
      release = read.release;
      const headers = headerList(request.rawHeaders);
      const receipt = await receiver.receive({
        webhookId,
        request: { header: headerLookup(request), body: read.body, method: "POST", url: undefined },
        headers,
        contentType: request.headers["content-type"] ?? null,
        synthetic: false,
      });
      sendJson(response, 200, { received: true, eventId: receipt.eventId, duplicate: receipt.duplicate });
    } catch (error) {
      answerError(request, response, error);
    } finally {
      release();
    }
  }

  function answerError(request: EdgeRequest, response: EdgeResponse, error: unknown): void {
    // A sender that went away in the middle of its body gets no answer and is no fault of ours.
    if (!(error instanceof AppError) && (request.destroyed || request.errored)) return;
    const rest = toRestError(error);
    if (rest.status >= 500)
      logger.error({ err: error instanceof AppError ? (error.cause ?? error) : error }, "a receive failed");
    const unread = !request.readableEnded && request.httpVersionMajor === 1;
    sendError(response, rest, unread ? { connection: "close" } : {});
  }

  return (request: EdgeRequest, response: EdgeResponse, path: string): void => {
    if (request.method !== "POST") {
      sendMethodNotAllowed(response, "POST");
      return;
    }
    void receive(request, response, path.slice(RECEIVE_PATH.length));
  };
}

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

function headerLookup(request: EdgeRequest): (name: string) => string | undefined {
  return (name) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
}
