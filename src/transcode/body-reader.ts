/** Reading a request's body: media type and encoding checked from the headers, size bounded while reading. */
import type { IncomingHttpHeaders } from "node:http";
import { createGunzip } from "node:zlib";
import { isGone } from "./answer.ts";
import { askForBody, declaredBodyBytes, type Exchange, type HttpRequest } from "./http-exchange.ts";
import { badRequest, TranscodeError } from "./transcode-error.ts";

const JSON_MEDIA_TYPE = /^\s*application\/json\s*(?:;|$)/i;

/** Throws TranscodeError if the headers declare a body of another type than JSON. None declared counts as JSON. */
export function requireJson(request: HttpRequest): void {
  const contentType = request.headers["content-type"];
  if (contentType !== undefined && !JSON_MEDIA_TYPE.test(contentType) && declaredBodyBytes(request) !== 0) {
    throw new TranscodeError("UNSUPPORTED_MEDIA_TYPE", "the content-type must be application/json");
  }
}

/** Counts the bytes of one request's body, and how long it takes. */
export interface BodyMeter {
  /** The body is waited for from now on. `onLate` is called once, with the error to answer with, if it is too slow. */
  begin(onLate: (error: unknown) => void): void;
  /** Counts bytes before they are kept. What it throws becomes the answer. */
  take(bytes: number): void;
  /** Nothing more is awaited from the client. */
  complete(): void;
}

export interface BodyBounds {
  /** Bound of the body in bytes, both as sent and as expanded. */
  readonly bytesMax: number;
  readonly meter: BodyMeter;
  /** Ends the reading. */
  readonly signal?: AbortSignal;
}

/**
 * Reads and decompresses the body: identity and gzip. Rejects with TranscodeError (UNSUPPORTED_MEDIA_TYPE,
 * PAYLOAD_TOO_LARGE, BAD_REQUEST), with what the meter throws, or with the signal's reason. On a rejection the rest of
 * the body is left unread.
 */
export async function readBody(exchange: Exchange, bounds: BodyBounds): Promise<Uint8Array> {
  const gzipped = isGzip(exchange.request.headers);
  const bytes = await readRawBody(exchange, bounds);
  return gzipped && bytes.length > 0 ? await expandGzip(bytes, bounds) : bytes;
}

/** Reads the body as it is sent. Rejects like `readBody`. */
export async function readRawBody(exchange: Exchange, bounds: BodyBounds): Promise<Buffer> {
  const declared = declaredBodyBytes(exchange.request);
  if (declared === 0) {
    return Buffer.alloc(0);
  }
  if (declared !== undefined && declared > bounds.bytesMax) {
    throw tooLarge(bounds.bytesMax);
  }
  if (isGone(exchange.response)) {
    throw endedEarly();
  }
  askForBody(exchange);
  return await collect(exchange.request, bounds);
}

function isGzip(headers: IncomingHttpHeaders): boolean {
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (encoding === "gzip" || encoding === "x-gzip") {
    return true;
  }
  if (encoding !== "identity" && encoding !== "") {
    throw new TranscodeError("UNSUPPORTED_MEDIA_TYPE", "the content-encoding must be identity or gzip", {
      headers: { "accept-encoding": "gzip" },
    });
  }
  return false;
}

function collect(request: HttpRequest, { bytesMax, meter, signal }: BodyBounds): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (how: () => void): void => {
      request.off("data", onData).off("end", onEnd).off("error", onLost).off("close", onLost);
      signal?.removeEventListener("abort", onAbort);
      meter.complete();
      how();
    };
    const refuse = (error: unknown): void => {
      request.pause();
      settle(() => reject(error));
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      try {
        if (size > bytesMax) {
          throw tooLarge(bytesMax);
        }
        meter.take(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        refuse(error);
      }
    };
    const onEnd = (): void => {
      // An HTTP/2 stream that is reset with NO_ERROR in the middle of its body ends as if that were all of it.
      settle(() => (request.aborted ? reject(endedEarly()) : resolve(joined(chunks, size))));
    };
    const onLost = (): void => settle(() => reject(endedEarly()));
    const onAbort = (): void => refuse(signal?.reason);
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    signal?.addEventListener("abort", onAbort);
    meter.begin(refuse);
    request.on("data", onData).on("end", onEnd).on("error", onLost).on("close", onLost);
  });
}

function joined<Bytes extends ArrayBufferLike>(chunks: readonly Buffer<Bytes>[], size: number) {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, size);
}

/**
 * Expands gzip piece by piece, so that every byte is counted before the next ones are made. Rejects like `readBody`.
 */
export function expandGzip(
  bytes: Uint8Array,
  { bytesMax, meter }: { readonly bytesMax: number; readonly meter: Pick<BodyMeter, "take"> },
): Promise<Buffer<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const gunzip = createGunzip();
    const chunks: Buffer<ArrayBuffer>[] = [];
    let size = 0;
    gunzip.on("data", (chunk: Buffer<ArrayBuffer>) => {
      size += chunk.length;
      try {
        if (size > bytesMax) {
          throw tooLarge(bytesMax);
        }
        meter.take(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        gunzip.destroy();
        reject(error);
      }
    });
    gunzip.on("end", () => resolve(joined(chunks, size)));
    gunzip.on("error", () => reject(badRequest("the body is not valid gzip")));
    gunzip.end(bytes);
  });
}

export function tooLarge(bytesMax: number): TranscodeError {
  return new TranscodeError("PAYLOAD_TOO_LARGE", `the body is larger than ${bytesMax} bytes`);
}

function endedEarly(): TranscodeError {
  return badRequest("the body ended early");
}
