/** Calls whose message is given as raw bytes, over every RPC protocol, so that it may be malformed in any way. */

import { type ClientHttp2Session, connect } from "node:http2";
import { type DescMethod, fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";

/** How a call ended: `OK` or the code's name, what it said, and the fields it named. */
export interface Ending {
  readonly code: string;
  readonly message: string;
  readonly fields: readonly string[];
}

/** A protocol and a codec. Sends one message as it is. */
export interface RawProtocol {
  readonly name: string;
  readonly codec: "json" | "proto";
  /** Whether it can call only methods without side effects. */
  readonly readsOnly: boolean;
  call(method: DescMethod, message: Uint8Array<ArrayBuffer>): Promise<Ending>;
}

export interface RawCalls {
  readonly protocols: readonly RawProtocol[];
  close(): void;
}

const BAD_REQUEST = "google.rpc.BadRequest";

/** Every RPC protocol at `url`, as the holder of `key`. */
export function rawCalls(url: string, key: string): RawCalls {
  const session = connect(url);
  session.on("error", () => {});
  const authorization = `Bearer ${key}`;
  const codecs = ["json", "proto"] as const;
  const protocols = codecs.flatMap((codec): RawProtocol[] => [
    {
      name: `Connect ${codec}`,
      codec,
      readsOnly: false,
      call: (...call) => connectCall(url, authorization, codec, call),
    },
    {
      name: `Connect GET ${codec}`,
      codec,
      readsOnly: true,
      call: (...call) => getCall(url, authorization, codec, call),
    },
    { name: `gRPC-Web ${codec}`, codec, readsOnly: false, call: (...call) => webCall(url, authorization, codec, call) },
    {
      name: `gRPC ${codec}`,
      codec,
      readsOnly: false,
      call: (...call) => grpcCall(session, authorization, codec, call),
    },
  ]);
  return { protocols, close: () => session.close() };
}

type Call = readonly [method: DescMethod, message: Uint8Array<ArrayBuffer>];

const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

/** A message in its envelope: flags, length, bytes. */
export function envelope(message: Uint8Array, flags = 0): Buffer<ArrayBuffer> {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

async function connectCall(url: string, authorization: string, codec: string, [method, message]: Call) {
  const streams = method.methodKind !== "unary";
  const response = await fetch(`${url}${pathOf(method)}`, {
    method: "POST",
    headers: { authorization, "content-type": streams ? `application/connect+${codec}` : `application/${codec}` },
    body: streams ? envelope(message) : message,
  });
  return streams ? endOfStream(Buffer.from(await response.arrayBuffer())) : await connectEnding(response);
}

async function getCall(url: string, authorization: string, codec: string, [method, message]: Call) {
  const query = new URLSearchParams({ connect: "v1", encoding: codec, base64: "1" });
  query.set("message", Buffer.from(message).toString("base64url"));
  return await connectEnding(await fetch(`${url}${pathOf(method)}?${query}`, { headers: { authorization } }));
}

interface ConnectErrorJson {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

async function connectEnding(response: Response): Promise<Ending> {
  if (response.status === 200) {
    await response.arrayBuffer();
    return { code: "OK", message: "", fields: [] };
  }
  const text = await response.text();
  try {
    return endingOf(JSON.parse(text));
  } catch {
    return { code: `HTTP ${response.status}`, message: text, fields: [] };
  }
}

/** The last envelope of a Connect stream holds its error. */
function endOfStream(body: Buffer): Ending {
  let at = 0;
  while (at + 5 <= body.length && (body[at] ?? 0) !== 2) at += 5 + body.readUInt32BE(at + 1);
  const { error } = JSON.parse(body.subarray(at + 5).toString()) as { error?: ConnectErrorJson };
  return error === undefined ? { code: "OK", message: "", fields: [] } : endingOf(error);
}

function endingOf({ code, message = "", details = [] }: ConnectErrorJson): Ending {
  const badRequests = details
    .filter(({ type }) => type === BAD_REQUEST)
    .map(({ value }) => Buffer.from(value, "base64"));
  return { code: Code[codeFromString(code) ?? Code.Unknown], message, fields: badRequests.flatMap(fieldsOf) };
}

function fieldsOf(badRequest: Uint8Array): string[] {
  return fromBinary(BadRequestSchema, badRequest).fieldViolations.map(({ field }) => field);
}

async function webCall(url: string, authorization: string, codec: string, [method, message]: Call): Promise<Ending> {
  const response = await fetch(`${url}${pathOf(method)}`, {
    method: "POST",
    headers: { authorization, "content-type": `application/grpc-web+${codec}` },
    body: envelope(message),
  });
  const body = Buffer.from(await response.arrayBuffer());
  const trailers = new Headers(response.headers);
  let at = 0;
  while (at + 5 <= body.length && (body[at] ?? 0) < 128) at += 5 + body.readUInt32BE(at + 1);
  for (const line of body
    .subarray(at + 5)
    .toString()
    .split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) trailers.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  if (response.status !== 200) return { code: `HTTP ${response.status}`, message: "", fields: [] };
  return statusOf((name) => trailers.get(name) ?? undefined);
}

/** Reads the status from trailers. */
function statusOf(trailer: (name: string) => string | undefined): Ending {
  const status = Number(trailer("grpc-status"));
  const bytes = trailer("grpc-status-details-bin");
  const details = bytes === undefined ? [] : fromBinary(StatusSchema, Buffer.from(bytes, "base64")).details;
  const badRequests = details.filter(({ typeUrl }) => typeUrl.endsWith(`/${BAD_REQUEST}`)).map(({ value }) => value);
  return {
    code: status === 0 ? "OK" : (Code[status] ?? String(status)),
    message: decodeURIComponent(trailer("grpc-message") ?? ""),
    fields: badRequests.flatMap(fieldsOf),
  };
}

function grpcCall(session: ClientHttp2Session, authorization: string, codec: string, [method, message]: Call) {
  return new Promise<Ending>((resolve) => {
    const stream = session.request({
      ":method": "POST",
      ":path": pathOf(method),
      "content-type": `application/grpc+${codec}`,
      te: "trailers",
      authorization,
    });
    let trailers: Readonly<Record<string, unknown>> = {};
    stream.on("response", (headers) => {
      trailers = headers;
    });
    stream.on("trailers", (headers) => {
      trailers = headers;
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      const reset = { code: `RST_STREAM ${stream.rstCode}`, message: "", fields: [] };
      resolve("grpc-status" in trailers ? statusOf((name) => trailers[name] as string | undefined) : reset);
    });
    stream.resume();
    stream.end(envelope(message));
  });
}
