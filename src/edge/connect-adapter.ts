/** gRPC, gRPC-Web and Connect on Node's requests: like connectNodeAdapter, with `grpc-message` spelled as specified. */
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
  createConnectRouter,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { withoutNeedlessEscapes } from "../grpc/message.ts";
import type { Logger } from "../observe/logger.ts";
import { createDeadlineInterceptor, untilAborted } from "../rpc/deadline.ts";
import { breakOff, releaseBody } from "../transcode/answer.ts";
import type { BodyMeter } from "../transcode/body-reader.ts";
import { isHttp2 } from "../transcode/http-exchange.ts";
import type { BodyHold } from "./body-budget.ts";
import { boundTimeout } from "./call-timeout.ts";
import { withDecodeErrors } from "./decode-errors.ts";
import type { Exchange, HttpRequest } from "./exchange.ts";
import { meteredGzip, withMeter } from "./metered-rpc.ts";
import { refuse, sendUnknown } from "./rpc-refusal.ts";

type RequestGate = (context: HandlerContext) => Promise<void>;

export interface ConnectAdapterOptions extends Omit<ConnectRouterOptions, "acceptCompression"> {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  readonly requestGate: RequestGate;
  readonly contextValues: (exchange: Exchange) => ContextValues;
  /** Bound of a message, compressed or not, bytes. */
  readonly readMaxBytes: number;
  /** Longest deadline of a call, milliseconds. */
  readonly maxTimeoutMs: number;
  /** Opens the account of one request's body. */
  readonly meterBody: (request: HttpRequest) => BodyMeter & BodyHold;
  readonly logger: Logger;
  /** Bound of arrays and objects inside each other in a JSON message. */
  readonly jsonDepthMax: number;
}

/** The signal of a call, once its gate is asked: until then nobody but Connect has it. */
const signalKey = createContextKey<AbortSignal | undefined>(undefined, { description: "signal" });

/** Not waited for beyond the call's end: what the gate asks for may take longer than its caller has time. */
function untilEnd(requestGate: RequestGate): RequestGate {
  return async (context) => {
    const { signal, values } = context;
    values.set(signalKey, signal);
    await untilAborted(requestGate(context), signal);
  };
}

/** Answers any request: with the RPC at its path, or that there is none. Throws where its Host makes no URL. */
export function createConnectAdapter(options: ConnectAdapterOptions): (exchange: Exchange, path: string) => void {
  const { routes, contextValues, meterBody, logger, jsonDepthMax, requestGate, ...routerOptions } = options;
  const router = createConnectRouter(
    withDecodeErrors(
      {
        ...routerOptions,
        interceptors: [createDeadlineInterceptor(), ...options.interceptors],
        requestGate: untilEnd(requestGate),
        acceptCompression: [meteredGzip],
      },
      jsonDepthMax,
    ),
  );
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (exchange, path) => {
    const { request, response } = exchange;
    const handler = handlers.get(path);
    if (!handler) {
      sendUnknown(exchange, path);
      return;
    }
    if (refuse(exchange, handler, meteredGzip.name)) return;
    const values = contextValues(exchange);
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    boundTimeout(universal.header, options.maxTimeoutMs);
    const meter = meterBody(request);
    response.once("close", meter.release);
    // What has been answered does not wait for a client that would go on sending. The last of HTTP/2 are the trailers.
    const release = () => setImmediate(releaseBody, exchange);
    if (isHttp2(request)) request.stream.once("wantTrailers", release);
    else response.once("finish", release);
    const { methodKind: kind } = handler.method;
    const reading = { meter, bytesMax: options.readMaxBytes, kind, signal: () => values.get(signalKey) };
    withMeter(exchange, universal, reading, handler)
      .then((answer) => universalResponseToNodeResponse(withSpecifiedMessage(answer), response))
      .catch((error: unknown) => {
        // Aborted: the client is gone.
        if (ConnectError.from(error).code !== Code.Aborted) logger.error({ err: error, path }, "an RPC has no answer");
        breakOff(exchange);
      });
  };
}

/** Only gRPC has trailers. They are complete once the body is sent, so they are read as late as they are written. */
function withSpecifiedMessage(answer: UniversalServerResponse): UniversalServerResponse {
  const { trailer } = answer;
  if (!trailer) return answer;
  return {
    ...answer,
    get trailer() {
      const message = trailer.get("grpc-message");
      if (message !== null) trailer.set("grpc-message", withoutNeedlessEscapes(message));
      return trailer;
    },
  };
}
