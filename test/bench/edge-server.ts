/** One of the servers that the edge's bench compares: `edge-server.ts {"kind": …}`. */
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { BlockList, type Server } from "node:net";
import { createContextValues } from "@connectrpc/connect";
import { compressionGzip, connectNodeAdapter } from "@connectrpc/connect-node";
import { LIMITS } from "../../src/config.ts";
import type { LinearReceiver } from "../../src/core/linear-receiver.ts";
import type { Receiver } from "../../src/core/receive.ts";
import { BodyBudget } from "../../src/edge/body-budget.ts";
import { Listener } from "../../src/edge/listener.ts";
import { createRouter } from "../../src/edge/router.ts";
import { Watchdog } from "../../src/edge/watchdog.ts";
import { incomingKey } from "../../src/rpc/context.ts";
import { createMemoryRpc, logger } from "./memory-service.ts";
import { announce } from "./server-process.ts";

export interface EdgeServer {
  readonly kind: keyof typeof SERVERS;
  /** What the bare servers answer: base64 of the body, and the headers that go with it. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const HOST = "127.0.0.1";

const SERVERS = {
  edge: () => {
    const watchdog = new Watchdog(LIMITS);
    const router = createRouter({
      rpc: createMemoryRpc(),
      receiver: {} as Receiver,
      linear: {} as LinearReceiver,
      logger,
      readiness: async () => ({}),
      publicUrl: undefined,
      trustedProxies: new BlockList(),
      corsOrigins: [],
      corsMaxAgeSeconds: LIMITS.corsMaxAgeSeconds,
      fallbackOrigin: () => "http://127.0.0.1",
      payloadBytesMax: 5 * 1024 * 1024,
      apiBodyBytesMax: LIMITS.apiBodyBytesMax,
      budget: new BodyBudget(LIMITS),
      jsonDepthMax: LIMITS.jsonDepthMax,
      compressBytesMin: LIMITS.compressBytesMin,
      timeoutMsMax: LIMITS.timeoutMsMax,
      stopping: new AbortController().signal,
      watchdog,
    });
    return new Listener(router.request, LIMITS, reportFailure, { watchdog, handleStream: router.stream }).listen(
      HOST,
      0,
    );
  },
  connectNode: () => {
    const { register, interceptors, requestGate } = createMemoryRpc();
    const adapter = connectNodeAdapter({
      routes: register,
      interceptors,
      requestGate,
      acceptCompression: [compressionGzip],
      readMaxBytes: LIMITS.apiBodyBytesMax,
      maxTimeoutMs: LIMITS.timeoutMsMax,
      contextValues: ({ headers }) =>
        createContextValues().set(incomingKey, {
          origin: `http://${headers[":authority"]}`,
          address: HOST,
          client: HOST,
          stopping: new AbortController().signal,
          answerEnd: undefined,
        }),
    });
    return listen(createHttp2Server({ settings: { maxConcurrentStreams: LIMITS.http2StreamsMax } }, adapter));
  },
  bareHttp2: ({ body, headers }: EdgeServer) => {
    const bytes = Buffer.from(body ?? "", "base64");
    const server = createHttp2Server({ settings: { maxConcurrentStreams: LIMITS.http2StreamsMax } });
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.resume().once("end", () => {
        stream.respond({ ":status": 200, ...headers }, { waitForTrailers: true });
        stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(bytes);
      });
    });
    return listen(server);
  },
  bareHttp1: ({ body, headers }: EdgeServer) => {
    const bytes = Buffer.from(body ?? "", "base64");
    return listen(
      createHttp1Server((_request, response) => {
        response.writeHead(200, { ...headers, "content-length": bytes.length });
        response.end(bytes);
      }),
    );
  },
} satisfies Record<string, (setting: EdgeServer) => Promise<number>>;

function reportFailure(error: Error): never {
  throw error;
}

async function listen(server: Server | Http2Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  return (server.address() as AddressInfo).port;
}

const setting = JSON.parse(process.argv[2] ?? "") as EdgeServer;
announce(await SERVERS[setting.kind](setting));
