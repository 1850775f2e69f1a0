/** Reading a request from an HTTP/2 stream, and answering on it. */
import { constants, type ServerHttp2Stream } from "node:http2";
import type { BodyAccount } from "./body-account.ts";
import { type Envelope, EnvelopeReader, encodeEnvelope } from "./envelope.ts";
import type { Metadata } from "./status.ts";

/** `Expect: 100-continue`: the client waits to be asked for its body (RFC 9110 section 10.1.1). */
const ASK = /(?:^|,)\s*100-continue\s*(?:,|$)/i;

/** Asks a client that waits for that to send its message. To be called when it is about to be read. */
export function askForMessage(stream: ServerHttp2Stream, expect: string | undefined): void {
  if (expect !== undefined && ASK.test(expect) && !isGone(stream)) stream.additionalHeaders({ ":status": 100 });
}

/** The one message of the stream. Rejects with a ConnectError as soon as there cannot be one, and keeps no more of it. */
export function readEnvelope(stream: ServerHttp2Stream, bytesMax: number, body: BodyAccount): Promise<Envelope> {
  return new Promise((resolve, reject) => {
    const reader = new EnvelopeReader(bytesMax);
    const onData = (piece: Buffer) => {
      try {
        body.take(piece.length);
        reader.push(piece);
      } catch (error) {
        stream.off("data", onData);
        reject(error);
      }
    };
    stream.on("data", onData);
    stream.once("end", () => {
      try {
        resolve(reader.end());
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** Sends headers, a message and trailers. Does nothing where the client is gone. */
export function sendMessage(
  stream: ServerHttp2Stream,
  headers: Metadata,
  envelope: Envelope,
  trailers: Metadata,
): void {
  if (isGone(stream)) return;
  respond(stream, headers, trailers);
  stream.end(encodeEnvelope(envelope));
}

/**
 * Sends an answer without a message: all of it in one HEADERS frame, unless the service has set headers, which clients
 * tell from trailers. Lets go of a request that nobody has read.
 */
export function sendStatus(stream: ServerHttp2Stream, headers: Metadata, trailers: Metadata): void {
  if (isGone(stream)) return;
  if (Object.keys(headers).length > 1) {
    respond(stream, headers, trailers);
    stream.end();
  } else {
    stream.respond({ ":status": 200, ...headers, ...trailers }, { endStream: true });
  }
  if (!stream.readableEnded) release(stream);
}

function respond(stream: ServerHttp2Stream, headers: Metadata, trailers: Metadata): void {
  stream.respond({ ":status": 200, ...headers }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers(trailers));
}

const isGone = (stream: ServerHttp2Stream): boolean => stream.destroyed || stream.closed;

/**
 * Reads no more of the request, and resets the stream once the answer is out, which the reset must not overtake
 * (RFC 9113 §8.1).
 */
function release(stream: ServerHttp2Stream): void {
  stream.removeAllListeners("data").resume();
  stream.once("finish", () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
}
