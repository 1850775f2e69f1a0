/** Unary gRPC on a real port, in front of what a test implements, and a client that speaks it by hand. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, createServiceImplSpec, type ServiceImpl } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { GetWebhookRequestSchema, WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { createGrpcUnary, type GrpcUnaryOptions } from "../../src/grpc/unary.ts";

export const PATH = "/alumia.webhooks.v1.WebhookService/GetWebhook";
export const MESSAGE_BYTES_MAX = 1_000;

export interface Answer {
  readonly headers: IncomingHttpHeaders;
  /** Undefined where the headers were all there was. */
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: Buffer;
  readonly resetCode: number;
}

/** What all bodies together hold, and how many of them are open. */
export interface Account {
  bytes: number;
  open: number;
}

export interface Served {
  readonly session: ClientHttp2Session;
  readonly account: Account;
  /** Errors that `onFailure` has heard of. */
  readonly failures: unknown[];
  /** Begins a call; its body is the test's. */
  begin(headers?: OutgoingHttpHeaders): ClientHttp2Stream;
  call(body?: Uint8Array, headers?: OutgoingHttpHeaders): Promise<Answer>;
  close(): Promise<void>;
}

export async function serve(
  implementation: Partial<ServiceImpl<typeof WebhookService>>,
  options: Partial<GrpcUnaryOptions> = {},
): Promise<Served> {
  const account = { bytes: 0, open: 0 };
  const failures: unknown[] = [];
  const handle = createGrpcUnary({
    services: [createServiceImplSpec<typeof WebhookService>(WebhookService, implementation)],
    interceptors: [],
    requestGate: async () => {},
    compression: compressionGzip,
    readJson: (bytes) => Buffer.from(bytes).toString(),
    messageBytesMax: () => MESSAGE_BYTES_MAX,
    compressBytesMin: 100,
    timeoutMsMax: 600_000,
    contextValues: () => createContextValues(),
    openBody: () => openBody(account),
    toConnectError: (error) =>
      error instanceof ConnectError ? error : new ConnectError("internal error", Code.Internal),
    onFailure: (error) => failures.push(error),
    ...options,
  });
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    if (!handle(stream, headers)) stream.respond({ ":status": 404 }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const begin = (headers: OutgoingHttpHeaders = {}) =>
    session.request({ ":method": "POST", ":path": PATH, "content-type": "application/grpc", ...headers });
  return {
    session,
    account,
    failures,
    begin,
    call: async (body = frame(request()), headers) => {
      const stream = begin(headers);
      stream.end(body);
      return await answerOf(stream);
    },
    close: async () => {
      session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function openBody(account: Account) {
  let held = 0;
  account.open += 1;
  return {
    take: (bytes: number) => {
      held += bytes;
      account.bytes += bytes;
    },
    complete: () => {},
    release: () => {
      account.bytes -= held;
      account.open -= 1;
      held = 0;
    },
  };
}

/** All of what comes back until the stream is closed. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders | undefined;
  const pieces: Buffer[] = [];
  stream.on("response", (head) => {
    headers = head;
  });
  stream.on("trailers", (tail) => {
    trailers = tail;
  });
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  await once(stream, "close");
  return { headers, trailers, body: Buffer.concat(pieces), resetCode: stream.rstCode ?? constants.NGHTTP2_NO_ERROR };
}

export const request = (id = "one") => toBinary(GetWebhookRequestSchema, create(GetWebhookRequestSchema, { id }));

/** A message in its envelope. */
export function frame(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
