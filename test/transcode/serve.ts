/** A real port over the library service, and clients for HTTP/1.1 and HTTP/2 that show what came over the wire. */
import { once } from "node:events";
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createServiceImplSpec, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  createTranscoder,
  type EncodedError,
  TranscodeError,
  type TranscoderOptions,
} from "../../src/transcode/transcoder.ts";
import { serviceType } from "./library.ts";

export const BODY_BYTES_MAX = 1_000_000;

const STATUS = {
  BAD_REQUEST: 400,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
};

export function encodeError(error: unknown): EncodedError {
  if (error instanceof TranscodeError) {
    const { code, message, violations } = error;
    return { status: STATUS[code], body: { error: { code, message, details: violations } } };
  }
  const { code, rawMessage } = ConnectError.from(error);
  return {
    status: code === Code.DeadlineExceeded ? 504 : 500,
    body: { error: { code: Code[code], message: rawMessage } },
  };
}

/** Implementations by RPC name in lower camel case; messages are dynamic, so they are records here. */
export type Handlers = Record<string, (request: Record<string, unknown>, context: HandlerContext) => unknown>;

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

export interface Server {
  readonly port: number;
  call(call: Call): Promise<Reply>;
  close(): Promise<void>;
}

export function libraryTranscoder(handlers: Handlers, options: Partial<TranscoderOptions> = {}) {
  const service = serviceType("LibraryService");
  return createTranscoder({
    services: [createServiceImplSpec(service, handlers as unknown as Partial<ServiceImpl<DescService>>)],
    interceptors: [],
    bodyBytesMax: BODY_BYTES_MAX,
    jsonDepthMax: 100,
    timeoutMsMax: 60_000,
    encodeError,
    ...options,
  });
}

export async function serveHttp1(handlers: Handlers, options?: Partial<TranscoderOptions>): Promise<Server> {
  const transcoder = libraryTranscoder(handlers, options);
  const server = http.createServer((request, response) => transcoder.handle(request, response));
  const port = await listen(server);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    port,
    call: (call) => callHttp1(agent, port, call),
    async close() {
      agent.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export async function serveHttp2(handlers: Handlers, options?: Partial<TranscoderOptions>): Promise<Server> {
  const transcoder = libraryTranscoder(handlers, options);
  const server = http2.createServer((request, response) => transcoder.handle(request, response));
  const port = await listen(server);
  const session = http2.connect(`http://127.0.0.1:${port}`);
  return {
    port,
    call: (call) => callHttp2(session, call),
    async close() {
      session.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function listen(server: http.Server | http2.Http2Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function callHttp1(
  agent: http.Agent,
  port: number,
  { method = "GET", path, headers, body }: Call,
): Promise<Reply> {
  const chunked = body !== undefined && headers?.["content-length"] === undefined;
  const framing = chunked ? { "transfer-encoding": "chunked" } : {};
  const request = http.request({ host: "127.0.0.1", port, agent, method, path, headers: { ...headers, ...framing } });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const bytes = await collected(response);
  return { status: response.statusCode ?? 0, headers: response.headers, bytes, text: bytes.toString() };
}

async function callHttp2(
  session: http2.ClientHttp2Session,
  { method = "GET", path, headers, body }: Call,
): Promise<Reply> {
  const stream = session.request({ ":method": method, ":path": path, ...headers }, { endStream: body === undefined });
  if (body !== undefined) {
    stream.end(body);
  }
  const [head] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  const bytes = await collected(stream);
  return { status: Number(head[":status"]), headers: head, bytes, text: bytes.toString() };
}

async function collected(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A promise and the function that settles it. */
export function signalled<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  return Promise.withResolvers<T>();
}
