/** google.api.HttpBody: bytes that are the HTTP body as they are, in either direction. */
import type { DescMessage } from "@bufbuild/protobuf";
import { createLocal, type LocalMessage } from "./message-access.ts";

/** A body and the content type it came or goes with. */
export interface RawBody {
  readonly contentType: string;
  readonly data: Uint8Array;
}

/** What bytes without a declared type are (RFC 9110 section 8.3). */
const UNKNOWN_CONTENT_TYPE = "application/octet-stream";
/** A header value that Node accepts, of printable ASCII. */
const HEADER_VALUE = /^[\x20-\x7e]+$/;

export function isHttpBody(desc: DescMessage | undefined): boolean {
  return desc?.typeName === "google.api.HttpBody";
}

/** A request's body as a message of the given type, which must be HttpBody. */
export function toHttpBody(desc: DescMessage, body: RawBody): LocalMessage {
  return Object.assign(createLocal(desc), { contentType: body.contentType, data: body.data });
}

/** An HttpBody message (undefined: one that was never set) as what to send. */
export function fromHttpBody(message: LocalMessage | undefined): RawBody {
  const { contentType, data } = (message ?? {}) as { contentType?: string; data?: Uint8Array };
  const usable = contentType !== undefined && HEADER_VALUE.test(contentType);
  return { contentType: usable ? contentType : UNKNOWN_CONTENT_TYPE, data: data ?? new Uint8Array() };
}
