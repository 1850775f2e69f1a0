/**
 * Calling an implementation through the interceptors, as Connect's own handlers do, but settled as soon as the call is
 * aborted, whatever the implementation still waits for: it learns of the end by its signal.
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import type {
  ContextValues,
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
  const asked = new CallRequest(spec, context, false, message) as AnyRequest;
  let answered: AnyResponse | undefined;
  const implement = async (request: AnyRequest) => {
    const output = await spec.impl(request.message as Message, contextOf(context, asked, request));
    answered = responseOf(spec, context, false, create(spec.method.output, output));
    return answered;
  };
  return context.untilAborted(async () => {
    const response = await through(interceptors, context, asked, implement);
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
  const asked = new CallRequest(spec, context, true, only(message)) as AnyRequest;
  const implement = async (request: AnyRequest) => {
    const input = await first(request.message as AsyncIterable<Message>);
    const output = spec.impl(input, contextOf(context, asked, request));
    return responseOf(spec, context, true, each(spec.method.output, output));
  };
  const response = await through(interceptors, context, asked, implement);
  takeHeaders(response, context);
  yield* response.message as AsyncIterable<Message>;
}

/** What interceptors see. A copy lacks what is not a member of its own, and is given it on its way. */
class CallRequest {
  readonly stream: boolean;
  readonly message: unknown;
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod: string;
  readonly header: Headers;
  readonly contextValues: ContextValues;
  readonly #context: CallContext;

  constructor({ method }: MethodImplSpec, context: CallContext, stream: boolean, message: unknown) {
    this.stream = stream;
    this.message = message;
    this.method = method;
    this.service = context.service;
    this.requestMethod = context.requestMethod;
    this.header = context.requestHeader;
    this.contextValues = context.values;
    this.#context = context;
  }

  get url(): string {
    return this.#context.url;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }
}

function responseOf({ method }: MethodImplSpec, context: CallContext, stream: boolean, message: unknown): AnyResponse {
  const { service, responseHeader: header, responseTrailer: trailer } = context;
  return { stream, message, method, service, header, trailer } as AnyResponse;
}

function through(
  interceptors: readonly Interceptor[],
  context: CallContext,
  asked: AnyRequest,
  implement: AnyFn,
): Promise<AnyResponse> {
  const whole = (next: AnyFn) => (request: AnyRequest) =>
    next(request === asked ? request : completed(request, context));
  return interceptors.reduceRight((next, interceptor) => interceptor(whole(next)), implement)(asked);
}

function completed(copy: Partial<AnyRequest>, { url, signal }: CallContext): AnyRequest {
  return { url, signal, ...copy } as AnyRequest;
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
