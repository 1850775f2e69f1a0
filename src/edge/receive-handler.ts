/**
 * The raw receive path: a plain handler in front of everything else. What can be refused from the head is refused
 * before the body is read; the body is read under a cap of its own and the budget of all requests.
 */

import type { LinearReceiver } from "../core/linear-receiver.ts";
import type { HeaderList, Inbound, Receipt, Receiver } from "../core/receive.ts";
import { LINEAR_PATH, RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { RestError } from "../rpc/error-mapping.ts";
import { refusalOf } from "../rpc/receive.ts";
import type { HeaderLookup } from "../signature/request.ts";
import { sendAnswer } from "../transcode/answer.ts";
import { type BodyMeter, readRawBody, tooLarge } from "../transcode/body-reader.ts";
import { targetOf } from "../transcode/http-exchange.ts";
import type { BodyHold } from "./body-budget.ts";
import { clientOf } from "./client-address.ts";
import {
  declaredBodyBytes,
  type Exchange,
  encodeError,
  expectsToBeAsked,
  type HttpRequest,
  sendError,
  sendJson,
  sendMethodNotAllowed,
} from "./exchange.ts";

/** A body that Node reads from the socket together with its head, give or take. */
const SMALL_BYTES_MAX = 65_536;

export interface ReceiveHandlerOptions {
  readonly receiver: Receiver;
  readonly linear: LinearReceiver;
  readonly logger: Logger;
  /** The origin at which providers reach us; schemes that sign the URL need it. */
  readonly publicUrl: string | undefined;
  /** Cap of one body, bytes. */
  readonly bodyBytesMax: number;
  /** The client's address. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Opens the account of one request's body. */
  readonly meterBody: (request: HttpRequest) => BodyMeter & BodyHold;
}

/** Who judges a request and records its event. */
interface Recipient {
  /** Undefined where only the signature tells. */
  readonly webhookId: string | undefined;
  admit(header: HeaderLookup): Promise<void> | void;
  receive(inbound: Omit<Inbound, "webhookId">, client: string): Promise<Receipt>;
}

export function createReceiveHandler(options: ReceiveHandlerOptions) {
  const { receiver, linear, logger, publicUrl, bodyBytesMax, addressOf, meterBody } = options;

  /** Whose request it is stands in the path, or is found out by its signature. */
  function recipientOf(path: string): Recipient {
    if (path === LINEAR_PATH) {
      return { webhookId: undefined, admit: (header) => linear.admit(header), receive: linear.receive.bind(linear) };
    }
    const webhookId = path.slice(RECEIVE_PATH.length);
    return {
      webhookId,
      admit: (header) => receiver.admit(webhookId, header),
      receive: (inbound) => receiver.receive({ ...inbound, webhookId }),
    };
  }

  async function receive(exchange: Exchange, recipient: Recipient): Promise<void> {
    const { request } = exchange;
    const remoteAddress = addressOf(request);
    const client = clientOf(remoteAddress);
    const contentType = request.headers["content-type"] ?? null;
    const meter = meterBody(request);
    let leave: (() => void) | undefined;
    let body: Buffer | undefined;
    try {
      leave = receiver.enter(client);
      if ((declaredBodyBytes(request) ?? 0) > bodyBytesMax) throw tooLarge(bodyBytesMax);
      const header = headerLookup(request);
      body = await readAdmitted(exchange, recipient.admit(header), meter);
      const target = targetOf(request);
      const url = publicUrl && publicUrl + target;
      const inbound = {
        request: { header, body, method: "POST", url, target },
        headers: headerList(request.rawHeaders),
        contentType,
        synthetic: false,
      };
      sendReceipt(exchange, await recipient.receive(inbound, client));
    } catch (error) {
      const refusal = refusalOf(error, answerError(exchange, error), recipient.webhookId);
      const size = body?.length ?? declaredBodyBytes(request);
      const headers = headerList(request.rawHeaders);
      const refused = { method: "POST", headers, contentType, body, size, remoteAddress, client };
      if (leave) await receiver.leaveTrace(refused, refusal);
    } finally {
      leave?.();
      meter.release();
    }
  }

  /**
   * The body of a request that is admitted. While that is found out, a small one is read: it is on its way already,
   * and a sender that then closes its side would take it along.
   */
  async function readAdmitted(exchange: Exchange, admission: Promise<void> | void, meter: BodyMeter): Promise<Buffer> {
    const bounds = { bytesMax: bodyBytesMax, meter };
    if (admission && !isSmallAndComing(exchange.request)) await admission;
    else if (admission) {
      const refused = new AbortController();
      const admitted = admission.catch((error: unknown) => refused.abort(error));
      const body = await readRawBody(exchange, { ...bounds, signal: refused.signal });
      await admitted;
      refused.signal.throwIfAborted();
      return body;
    }
    return await readRawBody(exchange, bounds);
  }

  function answerError(exchange: Exchange, error: unknown): RestError {
    const rest = encodeError(error);
    if (rest.status >= 500)
      logger.error({ err: error instanceof AppError ? (error.cause ?? error) : error }, "a receive failed");
    sendError(exchange, rest);
    return rest;
  }

  return (exchange: Exchange, path: string): void => {
    if (exchange.request.method !== "POST") sendMethodNotAllowed(exchange, "POST");
    else void receive(exchange, recipientOf(path));
  };
}

/** What the provider wants to hear, or our receipt. */
function sendReceipt(exchange: Exchange, { eventId, duplicate, success }: Receipt): void {
  const { status = 200, body, contentType } = success ?? {};
  if (body === undefined && status !== 204) sendJson(exchange, status, { received: true, eventId, duplicate });
  else sendAnswer(exchange, { status, headers: contentType ? { "content-type": contentType } : {}, body: body ?? "" });
}

function isSmallAndComing(request: HttpRequest): boolean {
  return (declaredBodyBytes(request) ?? Number.POSITIVE_INFINITY) <= SMALL_BYTES_MAX && !expectsToBeAsked(request);
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
