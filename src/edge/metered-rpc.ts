/** The body of an RPC under the shared budget: what comes is counted, and so is what it expands to. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression, UniversalServerRequest } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { endOf } from "../rpc/deadline.ts";
import { toConnectError } from "../rpc/error-mapping.ts";
import { type BodyMeter, expandGzip } from "../transcode/body-reader.ts";
import { TranscodeError } from "../transcode/transcoder.ts";
import type { BodyHold } from "./body-budget.ts";
import { askForBody, declaredBodyBytes, type Exchange } from "./exchange.ts";

/** Whose bytes a decompression makes. Connect tells it no more than the bytes. */
const meterOfCall = new AsyncLocalStorage<BodyMeter>();
const COMPRESSION_HEADERS = ["content-encoding", "grpc-encoding", "connect-content-encoding"];

/** How the body of one call is read. */
export interface BodyReading {
  readonly meter: BodyMeter & BodyHold;
  /** Bound of a message, bytes. */
  readonly bytesMax: number;
  readonly kind: DescMethod["methodKind"];
  /** Ends the reading; asked for when it begins. */
  readonly signal: () => AbortSignal | undefined;
}

/** Calls `answer` with the request, its body counted. A stream of messages holds no more than the last. */
export function withMeter<Answer>(
  exchange: Exchange,
  request: UniversalServerRequest,
  reading: BodyReading,
  answer: (request: UniversalServerRequest) => Answer,
): Answer {
  const { meter, bytesMax } = reading;
  const { header } = request;
  // Connect allocates all of a declared length at once. One that is too large is left for it to refuse.
  if ((declaredBodyBytes(exchange.request) ?? 0) <= bytesMax) header.delete("content-length");
  const metered = { ...request, body: count(exchange, request.body as AsyncIterable<Uint8Array>, reading) };
  const isCompressed = COMPRESSION_HEADERS.some((name) => header.has(name));
  return isCompressed ? meterOfCall.run(meter, () => answer(metered)) : answer(metered);
}

async function* count(exchange: Exchange, body: AsyncIterable<Uint8Array>, { meter, kind, ...reading }: BodyReading) {
  const isStream = kind === "client_streaming" || kind === "bidi_streaming";
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const stop = (error: unknown) => {
    const { response } = exchange;
    // The client would go on with its body.
    if ("shouldKeepAlive" in response) response.shouldKeepAlive = false;
    late.reject(toConnectError(error));
  };
  const signal = reading.signal();
  const onAbort = () => signal && stop(endOf(signal));
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort);
  const chunks = body[Symbol.asyncIterator]();
  askForBody(exchange);
  // A stream of messages may take as long as its client likes.
  if (!isStream) meter.begin(stop);
  try {
    for (;;) {
      const { done, value } = await Promise.race([chunks.next(), late.promise]);
      if (done) return;
      take(meter, value.length);
      yield value;
      // Asked for more, what came before has been read.
      if (isStream) meter.release();
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    meter.complete();
    // A call that answers with a stream may last for ever, and its one message has been read.
    if (kind !== "unary") meter.release();
    // What still comes is nobody's. An HTTP/2 stream that holds unread bytes would stay for ever, closed or not.
    void drain(chunks);
  }
}

async function drain(chunks: AsyncIterator<unknown>): Promise<void> {
  try {
    while (!(await chunks.next()).done);
  } catch {
    // The client is gone.
  }
}

function take(meter: Pick<BodyMeter, "take">, bytes: number): void {
  try {
    meter.take(bytes);
  } catch (error) {
    throw toConnectError(error);
  }
}

/** gzip that expands piece by piece, each counted. */
export const gzip = {
  name: compressionGzip.name,
  compress: compressionGzip.compress,
  decompress: async (
    bytes: Uint8Array,
    bytesMax: number,
    meter: Pick<BodyMeter, "take">,
  ): Promise<Uint8Array<ArrayBuffer>> => {
    if (bytes.length === 0) return new Uint8Array();
    try {
      return await expandGzip(bytes, { bytesMax, meter });
    } catch (error) {
      if (!(error instanceof TranscodeError)) throw error;
      throw error.code === "PAYLOAD_TOO_LARGE"
        ? new ConnectError(`message is larger than ${bytesMax} bytes after decompression`, Code.ResourceExhausted)
        : new ConnectError("decompression failed", Code.InvalidArgument);
    }
  },
};

/** The same as Connect takes it: counted on behalf of the call that it is for. */
export const meteredGzip: Compression = {
  ...gzip,
  decompress: (bytes, bytesMax) => {
    const calling = meterOfCall.getStore();
    return gzip.decompress(bytes, bytesMax, { take: (count) => calling && take(calling, count) });
  },
};
