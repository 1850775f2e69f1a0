/**
 * Unary calls of gRPC over HTTP/2, on the streams of Node's server: headers → gate → message → call → answer. The
 * same implementations, interceptors and errors as over any other protocol, without what only streaming calls need.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { constants, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { DescService } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectError,
  type ContextValues,
  type HandlerContext,
  type Interceptor,
  type ServiceImplSpec,
} from "@connectrpc/connect";
import { CallContext } from "../call/context.ts";
import { invokeUnary, type UnarySpec } from "../call/invoke.ts";
import type { BodyAccount } from "./body-account.ts";
import { type Codec, createCodecs } from "./codec.ts";
import { type Compression, compress, decompress, type Encodings, negotiate } from "./compression.ts";
import { type Metadata, metadataOf, OK, statusOf } from "./status.ts";
import { askForMessage, readEnvelope, sendMessage, sendStatus } from "./stream.ts";
import { parseTimeoutMs } from "./timeout.ts";

export interface GrpcUnaryOptions {
  /** Implementations; only their unary methods count. */
  readonly services: readonly ServiceImplSpec[];
  /** The same as the RPC server's. */
  readonly interceptors: readonly Interceptor[];
  /** Runs before any byte of the body is read; what it throws is the answer. */
  readonly requestGate: (context: HandlerContext) => Promise<void>;
  /** The encoding that is taken besides identity, and sent where the client takes it. */
  readonly compression: Compression;
  /** The text of a JSON message. Throws ConnectError for what is none. */
  readonly readJson: (bytes: Uint8Array) => string;
  /** Bound of a request message of the service, as sent and as decompressed, bytes. */
  readonly messageBytesMax: (service: DescService) => number;
  /** The smallest answer that is compressed, bytes. */
  readonly compressBytesMin: number;
  /** Bound of the deadline that `grpc-timeout` can ask for, milliseconds. */
  readonly timeoutMsMax: number;
  /** Values that the call starts with. */
  readonly contextValues: (
    stream: ServerHttp2Stream,
    session: Http2Session,
    headers: IncomingHttpHeaders,
  ) => ContextValues;
  /** Opens the account of a body that is about to be read. `onLate` takes an error if it comes too slowly. */
  readonly openBody: (
    session: Http2Session,
    headers: IncomingHttpHeaders,
    onLate: (error: unknown) => void,
  ) => BodyAccount;
  /** What clients may see of an error. */
  readonly toConnectError: (error: unknown) => ConnectError;
  /** Hears of faults of ours that no interceptor has seen. */
  readonly onFailure: (error: unknown, path: string) => void;
}

/** Takes a stream, or returns false where it is none of its own. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

interface Call {
  readonly spec: UnarySpec;
  readonly codec: Codec;
  readonly encodings: Encodings;
  readonly session: Http2Session;
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
}

export function createGrpcUnary(options: GrpcUnaryOptions): StreamHandler {
  const methods = unaryMethods(options.services);
  const codecOf = createCodecs(options.readJson);
  return (stream, headers) => {
    const { session } = stream;
    const spec = methods.get(pathOf(headers));
    const codec = headers[":method"] === "POST" ? codecOf(headers["content-type"]) : undefined;
    const encodings = encodingsOf(options, headers);
    if (session === undefined || spec === undefined || codec === undefined || encodings === undefined) return false;
    // A stream that breaks is no fault: its call hears of it by the close.
    stream.on("error", () => {});
    answer(options, { spec, codec, encodings, session, stream, headers }).catch((error: unknown) => {
      options.onFailure(error, pathOf(headers));
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
    return true;
  };
}

function unaryMethods(services: readonly ServiceImplSpec[]): Map<string, UnarySpec> {
  const methods = new Map<string, UnarySpec>();
  for (const spec of services.flatMap((service) => Object.values(service.methods))) {
    if (spec.kind === "unary") methods.set(`/${spec.method.parent.typeName}/${spec.method.name}`, spec);
  }
  return methods;
}

/** Rejects only where no answer can be sent. */
async function answer(options: GrpcUnaryOptions, call: Call): Promise<void> {
  const { stream, codec } = call;
  let context: CallContext | undefined;
  try {
    context = createContext(options, call);
    stream.once("close", context.leave.bind(context));
    await serve(options, call, context);
  } catch (error) {
    const status = statusOf(visible(options, error, call.headers));
    sendStatus(stream, headersOf(codec, context), { ...metadataOf(context?.trailersSet), ...status });
  } finally {
    context?.finish();
  }
}

async function serve(options: GrpcUnaryOptions, call: Call, context: CallContext): Promise<void> {
  const { stream, session, headers, codec } = call;
  const { request, response } = call.encodings;
  await context.untilAborted(() => options.requestGate(context));
  const body = options.openBody(session, headers, (error) => context.abort(error));
  const bytesMax = options.messageBytesMax(call.spec.method.parent);
  try {
    askForMessage(stream, headers.expect);
    const envelope = await context.untilAborted(() => readEnvelope(stream, bytesMax, body));
    body.complete();
    // Not left alone by an abort: it counts bytes up to its own end.
    const data = await decompress(envelope, request, bytesMax, body);
    const output = await invoke(options, call, context, data);
    const answered = await compress(output, response, options.compressBytesMin);
    sendMessage(stream, headersOf(codec, context, response), answered, { ...metadataOf(context.trailersSet), ...OK });
  } finally {
    body.release();
  }
}

function createContext(options: GrpcUnaryOptions, { spec, stream, session, headers }: Call): CallContext {
  return new CallContext({
    method: spec.method,
    protocolName: "grpc",
    requestMethod: "POST",
    headers,
    url: () => `${headers[":scheme"]}://${headers[":authority"] ?? headers.host}${pathOf(headers)}`,
    timeoutMs: parseTimeoutMs(text(headers["grpc-timeout"]), options.timeoutMsMax),
    values: options.contextValues(stream, session, headers),
  });
}

function encodingsOf({ compression }: GrpcUnaryOptions, headers: IncomingHttpHeaders): Encodings | undefined {
  return negotiate(compression, text(headers["grpc-encoding"]), text(headers["grpc-accept-encoding"]));
}

async function invoke(
  { interceptors }: GrpcUnaryOptions,
  { spec, codec }: Call,
  context: CallContext,
  data: Uint8Array,
): Promise<Uint8Array> {
  const input = codec.parse(spec.method.input, data);
  return codec.serialize(spec.method.output, await invokeUnary(spec, interceptors, context, input));
}

function visible({ toConnectError, onFailure }: GrpcUnaryOptions, error: unknown, headers: IncomingHttpHeaders) {
  const shown = toConnectError(error);
  if (shown !== error && shown.code === Code.Internal) onFailure(error, pathOf(headers));
  return shown;
}

function headersOf(codec: Codec, context: CallContext | undefined, encoding?: Compression): Metadata {
  const headers = metadataOf(context?.headersSet);
  headers["content-type"] = codec.contentType;
  if (encoding) headers["grpc-encoding"] = encoding.name;
  return headers;
}

/** Node joins what is repeated, for all but a few headers, none of which is read here. */
const text = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join() : value;

const pathOf = (headers: IncomingHttpHeaders): string => headers[":path"] ?? "";
