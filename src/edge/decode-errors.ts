/**
 * Whose fault a request is that Connect cannot read. Connect calls some of it INTERNAL (binary protobuf and base64
 * that do not parse, gzip that ends early) and takes JSON leniently; here the caller is told INVALID_ARGUMENT, and
 * JSON is read as strictly as over REST.
 */

import { base64Decode } from "@bufbuild/protobuf/wire";
import {
  Code,
  ConnectError,
  type ConnectRouterOptions,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { AppError } from "../errors.ts";
import { toConnectError } from "../rpc/error-mapping.ts";
import { strictJsonText } from "../transcode/json-text.ts";
import { TranscodeError } from "../transcode/transcode-error.ts";

/** Whether a call has got as far as the interceptors: then its message has been read. */
const arrivalKey = createContextKey<{ arrived: boolean } | undefined>(undefined, { description: "arrival" });

/** The options of a router whose callers are told what is wrong with their requests. */
export function withDecodeErrors(options: ConnectRouterOptions, jsonDepthMax: number): ConnectRouterOptions {
  const { requestGate, interceptors = [], jsonOptions } = options;
  const textDecoder = { decode: (bytes: Uint8Array) => readJson(bytes, jsonDepthMax) };
  return {
    ...options,
    requestGate: async (context) => {
      await requestGate?.(context);
      requireQueryMessage(context);
      blameCaller(context);
    },
    interceptors: [noteArrival, ...interceptors],
    // What no field takes is dropped at once: kept, each two bytes of it would be an object.
    binaryOptions: { readUnknownFields: false },
    jsonOptions: { ...jsonOptions, textDecoder } as NonNullable<ConnectRouterOptions["jsonOptions"]>,
  };
}

/** The text of a JSON message, for a lenient parser: what that would let through is refused here, with a ConnectError. */
export function readJson(bytes: Uint8Array, depthMax: number): string {
  try {
    return strictJsonText(bytes, depthMax);
  } catch (error) {
    if (!(error instanceof TranscodeError)) throw error;
    throw toConnectError(new AppError("BAD_REQUEST", error.message, { violations: error.violations }));
  }
}

/** Refuses a Connect GET whose message is not the base64 that it says to be. */
function requireQueryMessage({ requestMethod, url }: HandlerContext): void {
  if (requestMethod !== "GET") return;
  const query = new URL(url).searchParams;
  if (query.get("base64") !== "1") return;
  try {
    base64Decode(query.get("message") ?? "");
  } catch {
    throw new ConnectError("the message in the query is not base64", Code.InvalidArgument);
  }
}

/**
 * Makes an INTERNAL error that ends the call before it arrives the caller's. Connect aborts the call's signal with
 * the error before it writes it, in each of its protocols.
 */
function blameCaller(context: HandlerContext): void {
  const arrival = { arrived: false };
  context.values.set(arrivalKey, arrival);
  const { signal } = context;
  signal.addEventListener("abort", () => arrival.arrived || blame(signal.reason), { once: true });
}

function blame(error: unknown): void {
  if (error instanceof ConnectError && error.code === Code.Internal)
    Object.assign(error, { code: Code.InvalidArgument });
}

/** A unary message has been read when the interceptors run; those of a stream are read as they are taken. */
const noteArrival: Interceptor = (next) => async (request) => {
  const arrival = request.contextValues.get(arrivalKey);
  if (arrival) arrival.arrived = true;
  return await next(request.stream ? { ...request, message: eachRead(request.message) } : request);
};

async function* eachRead<Item>(messages: AsyncIterable<Item>) {
  try {
    yield* messages;
  } catch (error) {
    // What is no error of Connect's is the connection's.
    if (!(error instanceof ConnectError)) throw new ConnectError("the client went away", Code.Canceled);
    blame(error);
    throw error;
  }
}
