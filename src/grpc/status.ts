/** How a call ended, as trailers: `grpc-status`, `grpc-message`, and the details as google.rpc.Status. */
import { create } from "@bufbuild/protobuf";
import { type Any, AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { type ConnectError, encodeBinaryHeader } from "@connectrpc/connect";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { encodeGrpcMessage } from "./message.ts";

export type Metadata = Record<string, string | string[]>;

/** Headers that belong to HTTP or to a protocol: no service sets them, in an answer or in an error. */
const RESERVED =
  /^(?:connection|content-(?:encoding|length|type)|date|host|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade|user-agent|accept-encoding|connect-.*|trailer-.*|grpc-(?:accept-encoding|encoding|message|status|status-details-bin|timeout))$/;

export const OK: Metadata = { "grpc-status": "0" };

/** Metadata that a service has set, as Node takes them. */
export function metadataOf(headers: Headers | undefined): Metadata {
  const metadata: Metadata = {};
  if (headers === undefined) return metadata;
  for (const [name, value] of headers) {
    if (!RESERVED.test(name)) metadata[name] = name === "set-cookie" ? headers.getSetCookie() : value;
  }
  return metadata;
}

/** The error's own metadata and what clients read of it. */
export function statusOf({ code, rawMessage, details, metadata }: ConnectError): Metadata {
  const status: Metadata = {
    ...metadataOf(metadata),
    "grpc-status": String(code),
    "grpc-message": encodeGrpcMessage(rawMessage),
  };
  if (details.length > 0) {
    const message = create(StatusSchema, { code, message: rawMessage, details: details.map(packed) });
    status["grpc-status-details-bin"] = encodeBinaryHeader(message, StatusSchema);
  }
  return status;
}

function packed(detail: ConnectError["details"][number]): Any {
  if ("desc" in detail) return anyPack(detail.desc, create(detail.desc, detail.value));
  return create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value });
}
