/**
 * The raw receive path: a plain handler in front of everything else. What can be refused from the head is refused
 * before the body is read; the body is read under a cap of its own and the budget of all requests.
 */
import type { Inbound, InboundHead } from "../core/inbound.ts";
import type { LinearReceiver } from "../core/linear-receiver.ts";
import type { Receipt, Receiver } from "../core/receive.ts";
import { HANDSHAKE } from "../core/refused-receive.ts";
import { LINEAR_PATH, RECEIVE_PATH } from "../core/webhook-settings.ts";
import { AppError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { RestError } from "../rpc/error-mapping.ts";
import { answerOf } from "../rpc/receive.ts";
import type { HandshakeReply } from "../signature/handshakes.ts";
import { type BodyMeter, readRawBody, tooLarge } from "../transcode/body-reader.ts";
import { TranscodeError } from "../transcode/transcoder.ts";
import type { BodyHold } from "./body-budget.ts";
import { clientOf } from "./client-address.ts";
import {
  declaredBodyBytes,
  type Exchange,
  encodeError,
  expectsToBeAsked,
  type HttpRequest,
  sendError,
  sendMethodNotAllowed,
} from "./exchange.ts";
import { contentTypeOf, headerList, headOf, sendReceived } from "./receive-exchange.ts";

/** A body that Node reads from the socket together with its head, give or take. */
const SMALL_BYTES_MAX = 65_536;
const NO_BODY = Buffer.alloc(0);

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
  admit(head: InboundHead): Promise<void> | void;
  receive(inbound: Omit<Inbound, "webhookId">): Promise<Receipt | HandshakeReply>;
  /** What is answered to a GET or HEAD; undefined where none is taken. */
  greet(inbound: Omit<Inbound, "webhookId">): Promise<HandshakeReply | undefined>;
}

export function createReceiveHandler(options: ReceiveHandlerOptions) {
  const { receiver, linear, logger, publicUrl, bodyBytesMax, addressOf, meterBody } = options;

  const toLinear: Recipient = {
    webhookId: undefined,
    admit: (head) => linear.admit(head),
    receive: (inbound) => linear.receive(inbound),
    greet: async () => undefined,
  };

  const toWebhook = (webhookId: string): Recipient => ({
    webhookId,
    admit: (head) => receiver.admit(webhookId, head),
    receive: (inbound) => receiver.receive({ ...inbound, webhookId }),
    greet: (inbound) => receiver.greet({ ...inbound, webhookId }),
  });

  async function handle(exchange: Exchange, recipient: Recipient): Promise<void> {
    const { request } = exchange;
    const { webhookId } = recipient;
    const startedMs = performance.now();
    const address = addressOf(request);
    const remote = { address, client: clientOf(address) };
    const contentType = contentTypeOf(request);
    const meter = meterBody(request);
    let leave: (() => void) | undefined;
    let body: Buffer | undefined;
    const traced = () => {
      const size = body?.length ?? declaredBodyBytes(request);
      return { method: request.method ?? "", headers: headerList(request.rawHeaders), contentType, body, size, remote };
    };
    try {
      leave = receiver.enter(remote.client);
      const head = headOf(request, publicUrl);
      const isPost = head.method === "POST";
      body = isPost ? await readPost(exchange, recipient, head, meter) : NO_BODY;
      const headers = headerList(request.rawHeaders);
      const readMs = performance.now() - startedMs;
      const inbound = { request: { ...head, body }, headers, contentType, synthetic: false, remote, readMs };
      const received = await (isPost ? recipient.receive(inbound) : recipient.greet(inbound));
      if (!received) throw methodNotAllowed();
      sendReceived(exchange, received);
      if ("eventId" in received) return;
      const answer = { webhookId, check: HANDSHAKE, reason: received.summary, statusCode: received.status };
      await receiver.leaveTrace(traced(), answer);
    } catch (error) {
      const answer = answerOf(error, answerError(exchange, error), webhookId);
      if (leave) await receiver.leaveTrace(traced(), answer);
    } finally {
      leave?.();
      meter.release();
    }
  }

  async function readPost(
    exchange: Exchange,
    recipient: Recipient,
    head: InboundHead["request"],
    meter: BodyMeter,
  ): Promise<Buffer> {
    const bodyBytes = declaredBodyBytes(exchange.request);
    if ((bodyBytes ?? 0) > bodyBytesMax) throw tooLarge(bodyBytesMax);
    return await readAdmitted(exchange, recipient.admit({ request: head, bodyBytes }), meter);
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
    receiver.refused(rest.body.error.code);
    if (rest.status >= 500)
      logger.error({ err: error instanceof AppError ? (error.cause ?? error) : error }, "a receive failed");
    sendError(exchange, rest);
    return rest;
  }

  return (exchange: Exchange, path: string): void => {
    if (!METHODS.has(exchange.request.method)) sendMethodNotAllowed(exchange, "POST");
    else void handle(exchange, path === LINEAR_PATH ? toLinear : toWebhook(path.slice(RECEIVE_PATH.length)));
  };
}

/** Those that some provider uses. */
const METHODS: ReadonlySet<string | undefined> = new Set(["POST", "GET", "HEAD"]);

const methodNotAllowed = () =>
  new TranscodeError("METHOD_NOT_ALLOWED", "this path takes POST", { headers: { allow: "POST" } });

function isSmallAndComing(request: HttpRequest): boolean {
  return (declaredBodyBytes(request) ?? Number.POSITIVE_INFINITY) <= SMALL_BYTES_MAX && !expectsToBeAsked(request);
}
