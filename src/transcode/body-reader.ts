/** Reading a request's body: media type and encoding checked from the headers, size bounded while reading. */
import type { IncomingHttpHeaders } from "node:http";
import { gunzip } from "node:zlib";
import { declaredBodyBytes, type HttpRequest } from "./http-exchange.ts";
import { badRequest, TranscodeError } from "./transcode-error.ts";

const JSON_MEDIA_TYPE = /^\s*application\/json\s*(?:;|$)/i;

/** Throws TranscodeError if the headers declare a body of another type than JSON. None declared counts as JSON. */
export function requireJson(request: HttpRequest): void {
  const contentType = request.headers["content-type"];
  if (contentType !== undefined && !JSON_MEDIA_TYPE.test(contentType) && declaredBodyBytes(request) !== 0) {
    throw new TranscodeError("UNSUPPORTED_MEDIA_TYPE", "the content-type must be application/json");
  }
}

/**
 * Reads and decompresses the body: identity and gzip, at most `bytesMax` bytes both as sent and as expanded. Rejects
 * with TranscodeError (UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, BAD_REQUEST), or with the signal's reason. On a
 * rejection the rest of the body is left unread.
 */
export async function readBody(request: HttpRequest, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  const gzipped = isGzip(request.headers);
  const declared = declaredBodyBytes(request);
  if (declared === 0) {
    return new Uint8Array();
  }
  if (declared !== undefined && declared > bytesMax) {
    throw tooLarge(bytesMax);
  }
  const bytes = await collect(request, bytesMax, signal);
  return gzipped && bytes.length > 0 ? await expand(bytes, bytesMax) : bytes;
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

function collect(request: HttpRequest, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (how: () => void): void => {
      request.off("data", onData).off("end", onEnd).off("error", onError);
      signal.removeEventListener("abort", onAbort);
      how();
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > bytesMax) {
        request.pause();
        settle(() => reject(tooLarge(bytesMax)));
      } else {
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => settle(() => resolve(joined(chunks, size)));
    const onError = (): void => settle(() => reject(badRequest("the body ended early")));
    const onAbort = (): void => {
      request.pause();
      settle(() => reject(signal.reason));
    };
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener("abort", onAbort);
    request.on("data", onData).on("end", onEnd).on("error", onError);
  });
}

function joined(chunks: readonly Buffer[], size: number): Uint8Array {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, size);
}

function expand(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: bytesMax }, (error, expanded) => {
      if (error === null) {
        resolve(expanded);
      } else if ("code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
        reject(tooLarge(bytesMax));
      } else {
        reject(badRequest("the body is not valid gzip"));
      }
    });
  });
}

function tooLarge(bytesMax: number): TranscodeError {
  return new TranscodeError("PAYLOAD_TOO_LARGE", `the body is larger than ${bytesMax} bytes`);
}
