/** Calls made by @grpc/grpc-js. */
import {
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { type CallOptions, Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { type Outcome, refusal, type Values, valuesOf } from "./outcome.ts";
import type { Call, Protocol } from "./protocols.ts";

const GZIP = 2;

export function grpcJs(port: number): Protocol {
  const address = `127.0.0.1:${port}`;
  const plain = new Client(address, credentials.createInsecure());
  const gzip = new Client(address, credentials.createInsecure(), { "grpc.default_compression_algorithm": GZIP });
  return {
    name: "gRPC, grpc-js",
    family: "grpc",
    json: false,
    pliable: false,
    call: (call) => {
      const client = call.send ? gzip : plain;
      return call.method.methodKind === "unary" ? unary(client, call) : stream(client, call);
    },
    close: () => {
      plain.close();
      gzip.close();
    },
  };
}

const pathOf = (method: DescMethod) => `/${method.parent.typeName}/${method.name}`;
const encoder = (method: DescMethod) => (message: Message) => Buffer.from(toBinary(method.input, message));
/** Of a copy that is no Buffer, so that bytes fields compare with those of the other clients. */
const decoder = (method: DescMethod) => (bytes: Buffer) => fromBinary(method.output, new Uint8Array(bytes));
const optionsOf = ({ timeoutMs }: Call): CallOptions =>
  timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };

function unary(client: Client, call: Call): Promise<Outcome> {
  const { method, request, signal } = call;
  return new Promise((resolve) => {
    let headers: Values = {};
    let messages: readonly Message[] = [];
    let failure: ServiceError | null = null;
    const made = client.makeUnaryRequest(
      pathOf(method as DescMethodUnary),
      encoder(method),
      decoder(method),
      request,
      metadataOf(call),
      optionsOf(call),
      (error, message) => {
        failure = error;
        if (message) messages = [message];
      },
    );
    made.on("metadata", (metadata: Metadata) => {
      headers = valuesOfMetadata(metadata);
    });
    made.on("status", ({ metadata }: { metadata: Metadata }) => {
      // The callback has been called, or is about to be.
      setImmediate(() => resolve(failure ? refusal(errorOf(failure)) : success(messages, headers, metadata)));
    });
    signal?.addEventListener("abort", () => made.cancel());
  });
}

async function stream(client: Client, call: Call): Promise<Outcome> {
  const { method, request, signal } = call;
  const path = pathOf(method as DescMethodServerStreaming);
  const made = client.makeServerStreamRequest(
    path,
    encoder(method),
    decoder(method),
    request,
    metadataOf(call),
    optionsOf(call),
  );
  signal?.addEventListener("abort", () => made.cancel());
  let headers: Values = {};
  made.on("metadata", (metadata: Metadata) => {
    headers = valuesOfMetadata(metadata);
  });
  const status = new Promise<{ metadata: Metadata }>((resolve) => made.once("status", resolve));
  const messages: Message[] = [];
  try {
    for await (const message of made) {
      messages.push(message);
      await call.onMessage?.();
    }
    return success(messages, headers, (await status).metadata);
  } catch (error) {
    return refusal(errorOf(error as ServiceError), messages);
  }
}

function metadataOf({ headers = [] }: Call): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) {
    metadata.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}

const valuesOfMetadata = (metadata: Metadata): Values =>
  valuesOf(Object.keys(metadata.getMap()).flatMap((name) => metadata.get(name).map((value) => [name, value] as const)));

const success = (messages: readonly Message[], headers: Values, trailer: Metadata): Outcome => ({
  code: "Ok",
  message: "",
  details: [],
  messages,
  headers,
  trailers: valuesOfMetadata(trailer),
});

/** The error with its details; throws where `grpc-status-details-bin` contradicts the status. */
function errorOf(error: ServiceError): ConnectError {
  if (typeof error.code !== "number") throw error;
  const result = new ConnectError(error.details, Number(error.code));
  for (const name of Object.keys(error.metadata.getMap())) {
    if (!name.startsWith("x-")) continue;
    for (const value of error.metadata.get(name)) {
      result.metadata.append(name, typeof value === "string" ? value : value.toString("base64"));
    }
  }
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  if (bytes === undefined) return result;
  const { code, message, details } = fromBinary(StatusSchema, Buffer.from(bytes as Buffer));
  if (code !== error.code || message !== error.details) throw new Error(`status and details differ: ${error.message}`);
  result.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return result;
}
