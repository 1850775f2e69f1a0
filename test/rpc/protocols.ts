/** One call, made by a stock client of every protocol with nothing but its descriptor, and what it came to. */
import { Agent } from "node:http";
import {
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { grpcJs } from "./grpc-js-protocol.ts";
import { type Outcome, refusal, valuesOf } from "./outcome.ts";
import { type RestCall, rest } from "./rest-protocol.ts";

export interface Call {
  readonly method: DescMethodUnary | DescMethodServerStreaming;
  readonly request: Message;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Raised to cancel the call. */
  readonly signal?: AbortSignal;
  /** The client's own deadline, milliseconds. */
  readonly timeoutMs?: number;
  /** Awaited after each message, before the next is read. */
  readonly onMessage?: () => Promise<void> | void;
  /** How the request is compressed; as it is by default. */
  readonly send?: Compression;
  /** What the answer may be compressed with; nothing by default. */
  readonly accept?: Compression;
  /** How REST writes the call; by default the whole message is POSTed to its RPC's path. */
  readonly rest?: RestCall;
}

export interface Protocol {
  readonly name: string;
  readonly family: "grpc" | "grpc-web" | "connect" | "rest";
  /** Whether requests are JSON. */
  readonly json: boolean;
  /** Whether the client lets a test say how a request is compressed, and sends any header that it is given. */
  readonly pliable: boolean;
  call(call: Call): Promise<Outcome>;
  close(): void;
}

/** Bytes of the call's request message as the protocol writes it. */
export const requestBytes = (protocol: Protocol, { method, request }: Call): number =>
  protocol.json
    ? Buffer.byteLength(JSON.stringify(toJson(method.input, request)))
    : toBinary(method.input, request).length;

/** Clients of a port, in every protocol and HTTP version. */
export const protocolsOf = (port: number): readonly Protocol[] => [
  grpcJs(port),
  connectNode("gRPC, connect-node", "grpc", port, "2"),
  connectNode("gRPC-Web, HTTP/1.1", "grpc-web", port, "1.1"),
  connectNode("gRPC-Web, HTTP/2", "grpc-web", port, "2"),
  connectNode("Connect JSON, HTTP/1.1", "connect", port, "1.1", true),
  connectNode("Connect JSON, HTTP/2", "connect", port, "2", true),
  connectNode("Connect binary, HTTP/1.1", "connect", port, "1.1"),
  connectNode("Connect binary, HTTP/2", "connect", port, "2"),
  rest(port, "1.1"),
  rest(port, "2"),
];

type HttpVersion = "1.1" | "2";

function connectNode(
  name: string,
  family: "grpc" | "grpc-web" | "connect",
  port: number,
  httpVersion: HttpVersion,
  json = false,
): Protocol {
  const baseUrl = `http://127.0.0.1:${port}`;
  const agent = new Agent({ keepAlive: true });
  const sessionManager = new Http2SessionManager(baseUrl);
  const http2 = { httpVersion: "2", sessionManager } as const;
  const transportOf = ({ send, accept }: Call): Transport => {
    const options = {
      baseUrl,
      acceptCompression: accept ? [accept] : [],
      ...(send ? { sendCompression: send, compressMinBytes: 0 } : {}),
      useBinaryFormat: !json,
    };
    if (family === "grpc") return createGrpcTransport({ ...options, ...http2 });
    const http = httpVersion === "2" ? http2 : ({ httpVersion, nodeOptions: { agent } } as const);
    return family === "connect"
      ? createConnectTransport({ ...options, ...http })
      : createGrpcWebTransport({ ...options, ...http });
  };
  return {
    name,
    family,
    json,
    pliable: true,
    call: (call) => (call.method.methodKind === "unary" ? unary : stream)(transportOf(call), call),
    close: () => {
      agent.destroy();
      sessionManager.abort();
    },
  };
}

async function unary(transport: Transport, call: Call): Promise<Outcome> {
  const { method, request, signal, timeoutMs, headers = [] } = call;
  try {
    const answer = await transport.unary(method as DescMethodUnary, signal, timeoutMs, headersOf(headers), request);
    return success([answer.message], answer.header, answer.trailer);
  } catch (error) {
    return refusal(error);
  }
}

async function stream(transport: Transport, call: Call): Promise<Outcome> {
  const { method, request, signal, timeoutMs, headers = [] } = call;
  const messages: Message[] = [];
  try {
    const input = (async function* () {
      yield request;
    })();
    const streaming = method as DescMethodServerStreaming;
    const answer = await transport.stream(streaming, signal, timeoutMs, headersOf(headers), input);
    for await (const message of answer.message) {
      messages.push(message);
      await call.onMessage?.();
    }
    return success(messages, answer.header, answer.trailer);
  } catch (error) {
    return refusal(error, messages);
  }
}

function headersOf(entries: readonly (readonly [string, string])[]): Headers {
  const headers = new Headers();
  for (const [name, value] of entries) headers.append(name, value);
  return headers;
}

const success = (messages: readonly Message[], header: Headers, trailer: Headers): Outcome => ({
  code: "Ok",
  message: "",
  details: [],
  messages,
  headers: valuesOf(header),
  trailers: valuesOf(trailer),
});
