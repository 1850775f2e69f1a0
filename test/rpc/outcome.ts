/** What a call came to, in one form for every protocol, so that protocols can be compared. */
import {
  createRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** Values of each name, in order. */
export type Values = Readonly<Record<string, readonly string[]>>;

export interface Outcome {
  /** `Ok` or a Connect code; over REST the HTTP status, and the error's code if there is one. */
  readonly code: string;
  readonly message: string;
  /** Error details that are known here, as `{type, value}`. */
  readonly details: readonly Detail[];
  readonly messages: readonly Message[];
  /** Headers and trailers that begin with `x-`. A refusal has its metadata as trailers; its headers are not read. */
  readonly headers: Values;
  readonly trailers: Values;
}

export interface Detail {
  readonly type: string;
  readonly value: JsonValue;
}

const registry: Registry = createRegistry(BadRequestSchema, ErrorInfoSchema);

/** A detail whose fields are given as the proto's JSON; what is a default is left out. */
export const detail = (type: DescMessage, value: JsonValue): Detail => ({
  type: type.typeName,
  value: toJson(type, fromJson(type, value)),
});

export const badRequestDetail = (violations: readonly (readonly [field: string, rule: string, message: string])[]) =>
  detail(BadRequestSchema, {
    fieldViolations: violations.map(([field, reason, description]) => ({ field, reason, description })),
  });

/** The `x-` entries of metadata whose values may be lists; `-bin` values in unpadded base64. */
export function valuesOf(entries: Iterable<readonly [string, string | Uint8Array]>): Values {
  const result: Record<string, string[]> = {};
  for (const [name, value] of entries) {
    if (!name.startsWith("x-") || name === "x-content-type-options") continue;
    const texts = typeof value === "string" ? value.split(/, */) : [Buffer.from(value).toString("base64")];
    const plain = name.endsWith("-bin") ? texts.map((it) => it.replace(/=+$/, "")) : texts;
    result[name] = [...(result[name] ?? []), ...plain];
  }
  return result;
}

/** The outcome of a call that ended with an error, after some messages of a stream perhaps. */
export function refusal(error: unknown, messages: readonly Message[] = []): Outcome {
  const connectError = ConnectError.from(error);
  return {
    code: Code[connectError.code],
    message: connectError.rawMessage,
    details: connectError.details.flatMap((it) => ("type" in it ? detailOf(it.type, it.value) : [])),
    messages,
    headers: {},
    trailers: valuesOf(connectError.metadata),
  };
}

function detailOf(type: string, bytes: Uint8Array): Detail[] {
  const desc = registry.getMessage(type);
  return desc ? [{ type, value: toJson(desc, fromBinary(desc, bytes)) }] : [];
}
