/** One call, made over every protocol with the generated descriptors, so that the answers can be compared. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  fromJson,
  getOption,
  type JsonValue,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type { Api } from "../support/api.ts";
import type { TestService } from "../support/service.ts";
import { TRANSPORTS } from "./connect-clients.ts";

export type Method = DescMethodUnary<DescMessage, DescMessage>;
/** The fields of a request message. */
export type Request = Readonly<Record<string, unknown>>;

/** How REST writes a call: method and path below /api/v1, and the body if there is one. */
export type RestCall = readonly [method: string, path: string, body?: object];

export interface Refusal {
  /** Connect's code; undefined over REST, which has codes of its own. */
  readonly code?: string;
  readonly reason: string | undefined;
  readonly message: string;
  /** `field rule message`. */
  readonly violations: readonly string[];
}

export type Outcome = Message | Refusal;

export interface EveryProtocol {
  /** What each RPC protocol answers, by the protocol's name. */
  rpc(method: Method, request: Request): Promise<Record<string, Outcome>>;
  /** What REST answers, read as the RPC's response message. */
  rest(method: Method, call: RestCall): Promise<Outcome>;
  close(): void;
}

export function everyProtocol(service: TestService, key = service.key): EveryProtocol {
  const grpc = new Client(`127.0.0.1:${service.port}`, credentials.createInsecure());
  const transports = Object.entries(TRANSPORTS).map(([name, make]) => [name, make({ url: service.url, key })] as const);
  return {
    rpc: async (method, request) => {
      const message = create(method.input, request);
      const outcomes: Record<string, Outcome> = { gRPC: await overGrpc(grpc, key, method, message) };
      for (const [name, transport] of transports) outcomes[name] = await overConnect(transport, method, message);
      return outcomes;
    },
    rest: (method, call) => overRest(service.api, key, method, call),
    close: () => grpc.close(),
  };
}

async function overConnect(transport: Transport, method: Method, request: Message): Promise<Outcome> {
  try {
    return (await transport.unary(method, undefined, undefined, undefined, request)).message;
  } catch (error) {
    return refusalOf(ConnectError.from(error));
  }
}

function overGrpc(client: Client, key: string, method: Method, request: Message): Promise<Outcome> {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  const encode = (message: Message) => Buffer.from(toBinary(method.input, message));
  // A copy that is no Buffer, so that bytes fields compare with those of the other clients.
  const decode = (bytes: Buffer) => fromBinary(method.output, new Uint8Array(bytes));
  const path = `/${method.parent.typeName}/${method.name}`;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, encode, decode, request, metadata, (error, message) => {
      if (message) resolve(message);
      else resolve(refusalOf(connectErrorOf(error)));
    });
  });
}

function connectErrorOf(error: ServiceError | null): ConnectError {
  if (!error) throw new Error("neither a message nor an error");
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  if (bytes === undefined) return new ConnectError(error.details, Number(error.code));
  const { code, message, details } = fromBinary(StatusSchema, Buffer.from(bytes as Buffer));
  const result = new ConnectError(message, code);
  result.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return result;
}

function refusalOf(error: ConnectError): Refusal {
  const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  return {
    code: Code[error.code],
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    message: error.rawMessage,
    violations: violations.map(({ field, reason, description }) => `${field} ${reason} ${description}`),
  };
}

async function overRest(api: Api, key: string, method: Method, [verb, path, body]: RestCall): Promise<Outcome> {
  const answer = await api.call(verb, path, body, { authorization: `Bearer ${key}` });
  if (answer.status >= 300) {
    const { code, message, details } = answer.body.error;
    const violations = details.map(({ field, rule, message }: Record<string, string>) => `${field} ${rule} ${message}`);
    return { reason: code, message, violations };
  }
  const { responseBody } = getOption(method, http);
  const json: JsonValue = responseBody === "" ? answer.body : { [responseBody]: answer.body };
  return fromJson(method.output, json);
}
