/** Which encodings a call uses ("Compression" in the gRPC documentation): those of the request, and of the answer. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { BodyAccount } from "./body-account.ts";
import type { Envelope } from "./envelope.ts";

export interface Compression {
  readonly name: string;
  readonly compress: (bytes: Uint8Array) => Promise<Uint8Array>;
  /** Expands to at most `bytesMax` bytes, each of which is taken before the next ones are made. */
  readonly decompress: (bytes: Uint8Array, bytesMax: number, body: BodyAccount) => Promise<Uint8Array>;
}

/** Encodings in each direction; undefined: identity. */
export interface Encodings {
  readonly request: Compression | undefined;
  readonly response: Compression | undefined;
}

/** By `grpc-encoding` and `grpc-accept-encoding`. Undefined if the request's encoding is not known. */
export function negotiate(
  available: Compression,
  encoding: string | undefined,
  accepted: string | undefined,
): Encodings | undefined {
  const { name } = available;
  const compressed = encoding !== undefined && encoding !== "identity";
  if (compressed && encoding !== name) return undefined;
  const request = compressed ? available : undefined;
  // A client that does not say what it takes takes what it sends.
  if (!accepted) return { request, response: request };
  const takes = accepted.split(",").some((it) => it.trim() === name);
  return { request, response: takes ? available : undefined };
}

/** The message of an envelope, expanded to at most `bytesMax` bytes. Rejects with a ConnectError. */
export async function decompress(
  { compressed, data }: Envelope,
  compression: Compression | undefined,
  bytesMax: number,
  body: BodyAccount,
): Promise<Uint8Array> {
  if (!compressed) return data;
  if (compression === undefined) {
    throw new ConnectError("received compressed envelope, but do not know how to decompress", Code.InvalidArgument);
  }
  return await compression.decompress(data, bytesMax, body);
}

/** An envelope for a message, compressed where the client takes that and the message is worth it. */
export async function compress(
  data: Uint8Array,
  compression: Compression | undefined,
  bytesMin: number,
): Promise<Envelope> {
  if (compression === undefined || data.length < bytesMin) return { compressed: false, data };
  return { compressed: true, data: await compression.compress(data) };
}
