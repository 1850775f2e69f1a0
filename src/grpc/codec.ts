/** Messages as bytes, in the form that the content type of a call names. */
import { type DescMessage, fromBinary, fromJsonString, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

export interface Codec {
  /** Content type of the answer. */
  readonly contentType: string;
  /** Throws ConnectError (INVALID_ARGUMENT) for bytes that are no such message. */
  readonly parse: (desc: DescMessage, data: Uint8Array) => Message;
  readonly serialize: (desc: DescMessage, message: Message) => Uint8Array;
}

const CONTENT_TYPE = /^application\/grpc(?:\+(?:(json)(?:; ?charset=utf-?8)?|proto))?$/i;

const PROTO: Codec = {
  contentType: "application/grpc+proto",
  parse: (desc, data) => {
    try {
      // What no field takes is dropped at once: kept, each two bytes of it would be an object.
      return fromBinary(desc, data, { readUnknownFields: false });
    } catch (error) {
      throw new ConnectError(`parse binary: ${(error as Error).message}`, Code.InvalidArgument);
    }
  },
  serialize: toBinary,
};

const jsonCodec = (readJson: (bytes: Uint8Array) => string): Codec => ({
  contentType: "application/grpc+json",
  parse: (desc, data) => {
    try {
      return fromJsonString(desc, readJson(data), { ignoreUnknownFields: true });
    } catch (error) {
      throw ConnectError.from(error, Code.InvalidArgument);
    }
  },
  serialize: (desc, message) => Buffer.from(toJsonString(desc, message)),
});

/** Makes the function that finds the codec of a gRPC content type; undefined for any other, gRPC-Web's among them. */
export function createCodecs(readJson: (bytes: Uint8Array) => string): (contentType?: string) => Codec | undefined {
  const json = jsonCodec(readJson);
  return (contentType = "") => {
    if (contentType === "application/grpc") return PROTO;
    const match = CONTENT_TYPE.exec(contentType);
    return match ? (match[1] === undefined ? PROTO : json) : undefined;
  };
}
