/**
 * REST over RPC: HTTP requests that match a google.api.http annotation become calls of the annotated RPC, through
 * the same interceptors as any other protocol. Everything about a route is compiled at start-up; a request goes
 * path → route → gate → body → message → call → answer.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import {
  ConnectError,
  type ContextValues,
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type ServiceImplSpec,
} from "@connectrpc/connect";
import { CallContext } from "../call/context.ts";
import { type AnswerHeaders, breakOff, passedHeaders, sendAnswer } from "./answer.ts";
import { type BodyMeter, readBody, requireJson } from "./body-reader.ts";
import { answerCall } from "./call.ts";
import { compileEndpoints, type Endpoint } from "./endpoint.ts";
import {
  type Exchange,
  type HttpRequest,
  type HttpResponse,
  requestTimeoutMs,
  requestUrl,
  splitTarget,
} from "./http-exchange.ts";
import { bindingName } from "./http-rule.ts";
import { parseJsonBody } from "./json-text.ts";
import { createRouteTable, type FoundRoute, type Route, type RouteTable } from "./route-table.ts";
import { TranscodeError } from "./transcode-error.ts";

export { TranscodeError, type TranscodeErrorCode, type TranscodeViolation } from "./transcode-error.ts";

/** An error as it goes over the wire. */
export interface EncodedError {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Written as JSON; after the head of a streamed answer, as its last line. */
  readonly body: unknown;
}

export interface TranscoderOptions {
  /** Implementations; their RPCs without annotation have no route. */
  readonly services: readonly ServiceImplSpec[];
  /** The same as the RPC server's. */
  readonly interceptors: Interceptor[];
  /** Runs when the route is known, before any byte of the body is read; what it throws is the answer. */
  readonly requestGate?: (context: HandlerContext) => Promise<void>;
  /** HTTP status of a successful call; 200 by default. */
  readonly successStatus?: (method: DescMethod) => number;
  /** Bound of a request body in bytes, as sent and as decompressed. */
  readonly bodyBytesMax: number;
  /** Opens the account of one request's body: how long it takes, and every byte of it and of what it expands to until the answer. None by default. */
  readonly meterBody?: (request: HttpRequest) => BodyMeter & { release(): void };
  /** Bound of arrays and objects inside each other in a JSON body. */
  readonly jsonDepthMax: number;
  /** Bound of the deadline that `x-server-timeout` can ask for, in milliseconds. */
  readonly timeoutMsMax: number;
  /** Encodes a TranscodeError, or whatever the gate, an interceptor or the service threw. */
  readonly encodeError: (error: unknown) => EncodedError;
  /** Values that the call starts with, and whom to tell when its answer has been sent or given up. */
  readonly openCall?: (exchange: Exchange) => { readonly values: ContextValues; readonly onClose: () => void };
}

export interface Transcoder {
  /** Every route, in order of declaration; `rpc` is `package.Service.Method`. */
  routes(): readonly { readonly method: string; readonly path: string; readonly rpc: string }[];
  /** Answers any request, 404 where no route matches. Never throws. */
  handle(request: HttpRequest, response: HttpResponse): void;
}

const UNBOUNDED: BodyMeter & { release(): void } = { begin() {}, take() {}, complete() {}, release() {} };

/** Compiles the routes. Throws Error, naming RPC and template, where an annotation is wrong. */
export function createTranscoder(options: TranscoderOptions): Transcoder {
  const endpoints = compileEndpoints(options.services);
  const table = createRouteTable(endpoints.map(routeOf));
  const routes = endpoints.map(({ binding: { rpc, method, path } }) => {
    return { method, path, rpc: `${rpc.parent.typeName}.${rpc.name}` };
  });
  return {
    routes: () => routes,
    handle: (request, response) => handle(options, table, { request, response }),
  };
}

function routeOf(endpoint: Endpoint): Route<Endpoint> {
  const { rpc, method, path, template } = endpoint.binding;
  return { name: bindingName(rpc, method, path), method, template, target: endpoint };
}

function handle(options: TranscoderOptions, table: RouteTable<Endpoint>, exchange: Exchange): void {
  try {
    const { path, query } = splitTarget(exchange.request.url ?? "");
    const match = table.match(exchange.request.method ?? "", path);
    switch (match.kind) {
      case "route":
        void answerRoute(options, exchange, openCall(options, exchange, match.target), match, query);
        return;
      case "options":
        sendAnswer(exchange, { status: 204, headers: { allow: match.allow }, body: undefined });
        return;
      case "methodNotAllowed":
        throw new TranscodeError("METHOD_NOT_ALLOWED", `this path takes ${match.allow}`, {
          headers: { allow: match.allow },
        });
      case "notFound":
        throw new TranscodeError("NOT_FOUND", "there is nothing at this path");
    }
  } catch (error) {
    answerError(options, exchange, error, {});
  }
}

/** Never rejects. */
async function answerRoute(
  options: TranscoderOptions,
  exchange: Exchange,
  context: CallContext,
  { target: endpoint, values }: FoundRoute<Endpoint>,
  query: string,
): Promise<void> {
  const { bodyKind } = endpoint.binder;
  const meter = (bodyKind === "none" ? undefined : options.meterBody?.(exchange.request)) ?? UNBOUNDED;
  try {
    await passGate(options, context);
    const body = bodyKind === "none" ? undefined : await readRequestBody(options, exchange, bodyKind, context, meter);
    await answerCall({
      exchange,
      endpoint,
      context,
      message: endpoint.binder.bind({ values, query, body }),
      interceptors: options.interceptors,
      successStatus: options.successStatus?.(endpoint.binding.rpc) ?? 200,
      encodeErrorBody: (error) => options.encodeError(error).body,
    });
  } catch (error) {
    answerError(options, exchange, error, passedHeaders(context.headersSet));
  } finally {
    meter.release();
    context.finish();
  }
}

/** Not waited for beyond the call's end: what the gate asks for may take longer than its caller has time. */
function passGate({ requestGate }: TranscoderOptions, context: CallContext): Promise<void> | undefined {
  return requestGate && context.untilAborted(() => requestGate(context));
}

function openCall(options: TranscoderOptions, exchange: Exchange, endpoint: Endpoint): CallContext {
  const { request, response } = exchange;
  const timeoutMs = requestTimeoutMs(request.headers, options.timeoutMsMax);
  const opened = options.openCall?.(exchange);
  const context = new CallContext({
    method: endpoint.binding.rpc,
    protocolName: "rest",
    requestMethod: request.method ?? "",
    headers: request.headers,
    url: () => requestUrl(request),
    timeoutMs,
    values: opened?.values ?? createContextValues(),
  });
  response.on("close", () => {
    context.leave();
    opened?.onClose();
  });
  return context;
}

/** The body as the binding takes it; undefined where there is none. */
async function readRequestBody(
  options: TranscoderOptions,
  exchange: Exchange,
  bodyKind: "json" | "raw",
  context: CallContext,
  meter: BodyMeter,
): Promise<unknown> {
  const { request } = exchange;
  if (bodyKind === "json") {
    requireJson(request);
  }
  const data = await readBody(exchange, { bytesMax: options.bodyBytesMax, meter, signal: context.signal });
  if (bodyKind === "raw") {
    return { contentType: request.headers["content-type"] ?? "", data };
  }
  return data.length === 0 ? undefined : parseJsonBody(data, options.jsonDepthMax);
}

function answerError(options: TranscoderOptions, exchange: Exchange, error: unknown, passed: AnswerHeaders): void {
  if (exchange.response.headersSent) {
    breakOff(exchange);
    return;
  }
  try {
    const encoded = options.encodeError(error);
    const headers = { ...passed, ...encoded.headers, ...headersOf(error), "content-type": "application/json" };
    sendAnswer(exchange, { status: encoded.status, headers, body: JSON.stringify(encoded.body) });
  } catch {
    // The encoder failed or a header cannot be written: what is left to say is that something went wrong.
    answerBareError(exchange);
  }
}

/** What the error itself brings: headers that its answer must have, or an RPC's metadata. */
function headersOf(error: unknown): AnswerHeaders {
  if (error instanceof TranscodeError) return { ...error.headers };
  return error instanceof ConnectError ? passedHeaders(error.metadata) : {};
}

function answerBareError(exchange: Exchange): void {
  if (exchange.response.headersSent) {
    breakOff(exchange);
  } else {
    sendAnswer(exchange, { status: 500, headers: {}, body: undefined });
  }
}
