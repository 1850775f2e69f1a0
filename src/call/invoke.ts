/**
 * Calling an implementation through the interceptors, as Connect's own handlers do, but settled as soon as the call is
 * aborted, whatever the implementation still waits for: what it has begun goes on to its own end.
 */
import { create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  HandlerContext,
  Interceptor,
  MethodImplSpec,
  StreamRequest,
  StreamResponse,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import type { CallContext } from "./context.ts";

export type UnarySpec = MethodImplSpec & { readonly kind: "unary" };
export type ServerStreamingSpec = MethodImplSpec & { readonly kind: "server_streaming" };

type AnyFn = ReturnType<Interceptor>;
type AnyRequest = UnaryRequest | StreamRequest;
type AnyResponse = UnaryResponse | StreamResponse;

/** Answers one message with one. Rejects with what the interceptors made of a failure, or with why it was aborted. */
export function invokeUnary(
  spec: UnarySpec,
  interceptors: readonly Interceptor[],
  context: CallContext,
  message: Message,
): Promise<Message> {
  const asked = requestOf(spec, context, { stream: false, message });
  let answered: AnyResponse | undefined;
  const implement = async (request: AnyRequest) => {
    const output = await spec.impl(request.message as Message, contextOf(context, asked, request));
    answered = responseOf(spec, context, { stream: false, message: create(spec.method.output, output) });
    return answered;
  };
  return context.untilAborted(async () => {
    const response = await through(interceptors, implement)(asked);
    if (response !== answered) takeHeaders(response, context);
    return response.message as Message;
  });
}

/** Answers one message with many. The caller watches for the abort while it waits for each. */
export async function* invokeServerStream(
  spec: ServerStreamingSpec,
  interceptors: readonly Interceptor[],
  context: CallContext,
  message: Message,
): AsyncGenerator<Message, void> {
  const asked = requestOf(spec, context, { stream: true, message: only(message) });
  const implement = async (request: AnyRequest) => {
    const input = await first(request.message as AsyncIterable<Message>);
    const output = spec.impl(input, contextOf(context, asked, request));
    return responseOf(spec, context, { stream: true, message: each(spec.method.output, output) });
  };
  const response = await through(interceptors, implement)(asked);
  takeHeaders(response, context);
  yield* response.message as AsyncIterable<Message>;
}

function through(interceptors: readonly Interceptor[], implement: AnyFn): AnyFn {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), implement);
}

type Content =
  | { readonly stream: false; readonly message: Message }
  | { readonly stream: true; readonly message: AsyncIterable<Message> };

/** Made of accessors of its own, so that it may be copied like any object, and costs nothing that is not read. */
function requestOf({ method }: MethodImplSpec, context: CallContext, { stream, message }: Content): AnyRequest {
  return {
    stream,
    message,
    method,
    service: context.service,
    requestMethod: context.requestMethod,
    header: context.requestHeader,
    contextValues: context.values,
    get url() {
      return context.url;
    },
    get signal() {
      return context.signal;
    },
  } as AnyRequest;
}

function responseOf({ method }: MethodImplSpec, context: CallContext, { stream, message }: Content): AnyResponse {
  return {
    stream,
    message,
    method,
    service: context.service,
    get header() {
      return context.responseHeader;
    },
    get trailer() {
      return context.responseTrailer;
    },
  } as AnyResponse;
}

/** The context as the interceptors have left it. */
function contextOf(context: CallContext, asked: AnyRequest, request: AnyRequest): HandlerContext {
  if (request === asked) return context;
  return {
    method: context.method,
    service: request.service,
    protocolName: context.protocolName,
    requestMethod: context.requestMethod,
    requestHeader: request.header,
    responseHeader: context.responseHeader,
    responseTrailer: context.responseTrailer,
    values: request.contextValues,
    signal: request.signal,
    timeoutMs: context.timeoutMs,
    url: context.url,
  };
}

/** Headers and trailers that an interceptor answers instead of the implementation's. */
function takeHeaders({ header, trailer }: AnyResponse, context: CallContext): void {
  if (header !== context.responseHeader) replace(context.responseHeader, header);
  if (trailer !== context.responseTrailer) replace(context.responseTrailer, trailer);
}

function replace(target: Headers, source: Headers): void {
  for (const name of [...target.keys()]) target.delete(name);
  for (const [name, value] of source) target.append(name, value);
}

async function* only(message: Message) {
  yield message;
}

async function first(messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new Error("an interceptor has swallowed the request");
}

async function* each(
  desc: DescMessage,
  messages: AsyncIterable<MessageInitShape<DescMessage>>,
): AsyncGenerator<Message, void> {
  for await (const message of messages) yield create(desc, message);
}
