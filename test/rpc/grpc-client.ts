/** A stock gRPC client, made of @grpc/grpc-js and the .proto files alone. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type CallOptions,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { Answer } from "../support/api.ts";

/** A message: judged by what it holds. */
export type Json = Answer["body"];

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PACKAGE = "alumia.webhooks.v1";
const ours = readdirSync(root(`proto/${PACKAGE.replaceAll(".", "/")}`)).filter((name) => name.endsWith(".proto"));
const definitions = loadSync(
  [
    ...ours.map((name) => `${PACKAGE.replaceAll(".", "/")}/${name}`),
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
  ],
  { includeDirs: [root("proto"), root("third_party/proto")], longs: Number },
);

const methods = new Map<string, MethodDefinition<object, object>>();
for (const [name, definition] of Object.entries(definitions)) {
  if (!name.startsWith(`${PACKAGE}.`) || "format" in definition) continue;
  for (const method of Object.values(definition as ServiceDefinition)) {
    methods.set(method.path.slice(`/${PACKAGE}.`.length), method as MethodDefinition<object, object>);
  }
}

/** Every RPC that the .proto files declare, as `Service/Method`. */
export const declaredRpcs: readonly string[] = [...methods.keys()].sort();

function methodOf(rpc: string): MethodDefinition<object, object> {
  const method = methods.get(rpc);
  if (!method) throw new Error(`no such RPC: ${rpc}`);
  return method;
}

export interface GrpcCallOptions extends CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** False: without the API key. */
  readonly authorized?: boolean;
}

export interface GrpcClient {
  /** One unary call; rejects with a ServiceError. */
  unary(rpc: string, request: object, options?: GrpcCallOptions): Promise<Json>;
  /** All messages of a server stream; rejects with a ServiceError. */
  stream(rpc: string, request: object, options?: GrpcCallOptions): Promise<Json[]>;
  /** An empty message to any path; resolves to what comes back. */
  raw(path: string): Promise<Buffer | undefined>;
  close(): void;
}

export function createGrpcClient(port: number, key: string, channel: ChannelOptions = {}): GrpcClient {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), channel);
  const metadataOf = ({ metadata = {}, authorized = true }: GrpcCallOptions): Metadata => {
    const result = new Metadata();
    if (authorized) result.set("authorization", `Bearer ${key}`);
    for (const [name, value] of Object.entries(metadata)) result.set(name, value);
    return result;
  };
  return {
    unary: (rpc, request, options = {}) =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = methodOf(rpc);
        const done = (error: ServiceError | null, message?: object) => (error ? reject(error) : resolve(message));
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadataOf(options),
          options,
          done,
        );
      }),
    stream: (rpc, request, options = {}) =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = methodOf(rpc);
        const serialize = requestSerialize;
        const metadata = metadataOf(options);
        const call = client.makeServerStreamRequest(path, serialize, responseDeserialize, request, metadata, options);
        const messages: Json[] = [];
        call.on("data", (message: Json) => messages.push(message));
        call.on("end", () => resolve(messages));
        call.on("error", reject);
      }),
    raw: (path) =>
      new Promise((resolve, reject) => {
        const same = (bytes: Buffer) => bytes;
        const done = (error: ServiceError | null, bytes?: Buffer) => (error ? reject(error) : resolve(bytes));
        client.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadataOf({}), done);
      }),
    close: () => client.close(),
  };
}

/** What a refusal says: its code's name, its message, and the details in grpc-status-details-bin. */
export interface GrpcRefusal {
  readonly code: string;
  readonly message: string;
  /** `domain reason` of google.rpc.ErrorInfo. */
  readonly info: string | undefined;
  /** `field reason` of each google.rpc.BadRequest violation; `reason` alone where it is about the whole message. */
  readonly violations: readonly string[];
}

/** Awaits the refusal of a call; throws where the call succeeds. */
export async function grpcRefusal(call: Promise<unknown>): Promise<GrpcRefusal> {
  const error = await call.then(
    (message) => {
      throw new Error(`not refused: ${JSON.stringify(message)}`);
    },
    (reason: ServiceError) => reason,
  );
  if (typeof error.code !== "number") throw error;
  const code = status[error.code] ?? String(error.code);
  const message = error.details;
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const wire: Json = bytes === undefined ? { details: [] } : decode("google.rpc.Status", bytes);
  if (bytes !== undefined && (wire.code !== error.code || wire.message !== message)) {
    throw new Error(`status and details differ: ${JSON.stringify(wire)}, ${error.message}`);
  }
  const detail = (type: string): Json => {
    const any = wire.details.find((it: Json) => it.type_url === `type.googleapis.com/${type}`);
    return any && decode(type, any.value);
  };
  const info = detail("google.rpc.ErrorInfo");
  const violations: Json[] = detail("google.rpc.BadRequest")?.fieldViolations ?? [];
  return {
    code,
    message,
    info: info && `${info.domain} ${info.reason}`,
    violations: violations.map((it) => [it.field, it.reason].filter(Boolean).join(" ")),
  };
}

function decode(type: string, bytes: string | Buffer): Json {
  const definition = definitions[type];
  if (!definition || !("deserialize" in definition) || typeof definition.deserialize !== "function") {
    throw new Error(`no message ${type}`);
  }
  return definition.deserialize(Buffer.from(bytes as Buffer));
}
