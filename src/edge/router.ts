/** Which handler takes a request: raw receive, health, REST, RPC, in this order. Nothing thrown here leaves. */

import type { EventEmitter } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import type { Http2Session } from "node:http2";
import type { BlockList } from "node:net";
import { createContextValues } from "@connectrpc/connect";
import { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import type { LinearReceiver } from "../core/linear-receiver.ts";
import type { Receiver } from "../core/receive.ts";
import { LINEAR_PATH, RECEIVE_PATH } from "../core/webhook-settings.ts";
import { createGrpcUnary, type StreamHandler } from "../grpc/unary.ts";
import type { Logger } from "../observe/logger.ts";
import { AnswerEnd, incomingKey } from "../rpc/context.ts";
import { restError, toConnectError, toRestError } from "../rpc/error-mapping.ts";
import type { RpcServer } from "../rpc/server.ts";
import { isGone } from "../transcode/answer.ts";
import { splitTarget } from "../transcode/http-exchange.ts";
import { createTranscoder } from "../transcode/transcoder.ts";
import { type BodyBudget, createMeter } from "./body-budget.ts";
import { addressOf, clientOf } from "./client-address.ts";
import { createConnectAdapter } from "./connect-adapter.ts";
import { createCors } from "./cors.ts";
import { readJson } from "./decode-errors.ts";
import {
  type Exchange,
  encodeError,
  type HttpRequest,
  type RequestHandler,
  type RequestHead,
  sendError,
  sendJson,
  sendMethodNotAllowed,
} from "./exchange.ts";
import { IncomingCall } from "./incoming.ts";
import { gzip } from "./metered-rpc.ts";
import { createProvidersHandler, PROVIDERS_PATH } from "./providers-handler.ts";
import { createReceiveHandler } from "./receive-handler.ts";
import type { Watchdog } from "./watchdog.ts";

export interface RouterOptions {
  readonly rpc: RpcServer;
  readonly receiver: Receiver;
  readonly linear: LinearReceiver;
  readonly logger: Logger;
  /** Each part that must work for the service to be ready, and whether it does. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly publicUrl: string | undefined;
  readonly trustedProxies: BlockList;
  /** Origins whose pages may call the API; only "*" for every one. */
  readonly corsOrigins: readonly string[];
  readonly corsMaxAgeSeconds: number;
  readonly fallbackOrigin: () => string;
  readonly payloadBytesMax: number;
  readonly apiBodyBytesMax: number;
  /** Of the bodies of all requests. */
  readonly budget: BodyBudget;
  readonly jsonDepthMax: number;
  /** Smallest message of an RPC that is compressed, bytes. */
  readonly compressBytesMin: number;
  readonly timeoutMsMax: number;
  /** Aborts when the port is about to close. */
  readonly stopping: AbortSignal;
  /** Watches how fast the bodies come that are read. */
  readonly watchdog: Watchdog;
}

/** What serves the port: requests of either HTTP version, and the HTTP/2 streams that need no request of Node's. */
export interface Router {
  readonly request: RequestHandler;
  readonly stream: StreamHandler;
}

export function createRouter(options: RouterOptions): Router {
  const { rpc, logger } = options;
  const remoteAddress = (request: RequestHead) => addressOf(request, options.trustedProxies);
  const meterBody = (request: RequestHead) =>
    createMeter(options.budget.open(clientOf(remoteAddress(request))), options.watchdog);
  /** What a call knows of how it came, and whom to tell when its answer is over. */
  const open = (head: RequestHead, isOver: boolean) => {
    const end = new AnswerEnd();
    if (isOver) end.reach();
    const values = createContextValues().set(incomingKey, new IncomingCall(head, end, options));
    return { values, onClose: () => end.reach() };
  };
  const openCall = (exchange: Exchange) => open(exchangeHead(exchange), isGone(exchange.response));
  /** `answer` tells of its end by its `close`. */
  const contextValues = (answer: EventEmitter, { values, onClose }: ReturnType<typeof open>) => {
    answer.on("close", onClose);
    return values;
  };
  const receive = createReceiveHandler({
    receiver: options.receiver,
    linear: options.linear,
    logger,
    publicUrl: options.publicUrl,
    bodyBytesMax: options.payloadBytesMax,
    addressOf: remoteAddress,
    meterBody,
  });
  const transcoder = createTranscoder({
    // The raw handler is the only way in over REST: it alone reads bodies under the shared budget.
    services: rpc.services.filter((spec) => spec.service !== ReceiveService),
    interceptors: rpc.interceptors,
    requestGate: rpc.requestGate,
    successStatus: (method) => (method.name.startsWith("Create") ? 201 : 200),
    bodyBytesMax: options.apiBodyBytesMax,
    meterBody,
    jsonDepthMax: options.jsonDepthMax,
    timeoutMsMax: options.timeoutMsMax,
    encodeError,
    openCall,
  });
  const grpcUnary = createGrpcUnary({
    services: rpc.services,
    interceptors: rpc.interceptors,
    requestGate: rpc.requestGate,
    compression: gzip,
    readJson: (bytes) => readJson(bytes, options.jsonDepthMax),
    messageBytesMax: (service) => rpc.bytesMax.get(service) ?? options.apiBodyBytesMax,
    compressBytesMin: options.compressBytesMin,
    timeoutMsMax: options.timeoutMsMax,
    contextValues: (stream, session, headers) =>
      contextValues(stream, open(streamHead(session, headers), stream.destroyed)),
    openBody: (session, headers, onLate) => {
      const meter = meterBody(streamHead(session, headers));
      meter.begin(onLate);
      return meter;
    },
    toConnectError,
    onFailure: (err, path) => logger.error({ err, path }, "an RPC has no answer"),
  });
  // Also serves gRPC, where it is no unary call over HTTP/2.
  const connect = createConnectAdapter({
    routes: rpc.register,
    interceptors: rpc.interceptors,
    requestGate: rpc.requestGate,
    readMaxBytes: options.apiBodyBytesMax,
    compressMinBytes: options.compressBytesMin,
    meterBody,
    maxTimeoutMs: options.timeoutMsMax,
    contextValues: (exchange) => contextValues(exchange.response, openCall(exchange)),
    logger,
    jsonDepthMax: options.jsonDepthMax,
  });

  const providers = createProvidersHandler(() => options.publicUrl ?? options.fallbackOrigin());
  const answerPreflight = createCors({
    origins: options.corsOrigins,
    methods: transcoder.routes().map((it) => it.method),
    maxAgeSeconds: options.corsMaxAgeSeconds,
  });

  function route(exchange: Exchange): void {
    const path = pathOf(exchange.request);
    // No page sends webhooks.
    if (path.startsWith(RECEIVE_PATH) || path === LINEAR_PATH) receive(exchange, path);
    else if (answerPreflight(exchange)) return;
    else if (path.startsWith("/api/")) transcoder.handle(exchange.request, exchange.response);
    else if (path === PROVIDERS_PATH) providers(exchange);
    else if (path === "/healthz" || path === "/readyz") health(exchange, path);
    else connect(exchange, path);
  }

  function health(exchange: Exchange, path: string): void {
    const { method } = exchange.request;
    if (method !== "GET" && method !== "HEAD") sendMethodNotAllowed(exchange, "GET, HEAD");
    else if (path === "/healthz") sendJson(exchange, 200, { status: "ok" });
    else void answerReadiness(exchange);
  }

  async function answerReadiness(exchange: Exchange): Promise<void> {
    try {
      const checks = await options.readiness();
      const ready = Object.values(checks).every(Boolean);
      sendJson(exchange, ready ? 200 : 503, { status: ready ? "ready" : "not ready", checks });
    } catch (error) {
      sendError(exchange, toRestError(error));
    }
  }

  const request: RequestHandler = (request, response) => {
    const exchange = { request, response };
    // A connection that breaks is no fault: whoever reads or writes notices by itself.
    request.on("error", ignore);
    response.on("error", ignore);
    try {
      route(exchange);
    } catch (error) {
      // The Connect adapter throws on a Host (or none) that makes no URL.
      logger.debug({ err: error }, "a request could not be routed");
      sendError(exchange, restError("BAD_REQUEST", "the request's Host or path cannot be used"));
    }
  };
  return { request, stream: grpcUnary };
}

/** What is known before the body, for longer than the connection lasts. */
function headOf(headers: IncomingHttpHeaders, remoteAddress?: string, encrypted?: boolean): RequestHead {
  return { headers, socket: { remoteAddress, encrypted }, authority: headers[":authority"] as string | undefined };
}

const streamHead = ({ socket, encrypted }: Http2Session, headers: IncomingHttpHeaders) =>
  headOf(headers, socket.remoteAddress, encrypted);

function exchangeHead({ request }: Exchange): RequestHead {
  const { remoteAddress, encrypted } = request.socket as RequestHead["socket"];
  return headOf(request.headers, remoteAddress, encrypted);
}

const pathOf = (request: HttpRequest): string => splitTarget(request.url ?? "/").path;

function ignore(): void {}
