/** The real edge (port, router, interceptors, transcoder) in front of services that a test implements. */
import { BlockList } from "node:net";
import type { ServiceImplSpec } from "@connectrpc/connect";
import { LIMITS } from "../../src/config.ts";
import type { LinearReceiver } from "../../src/core/linear-receiver.ts";
import type { Receiver } from "../../src/core/receive.ts";
import { BodyBudget } from "../../src/edge/body-budget.ts";
import { Listener } from "../../src/edge/listener.ts";
import { createRouter } from "../../src/edge/router.ts";
import { Watchdog } from "../../src/edge/watchdog.ts";
import { createLogger } from "../../src/observe/logger.ts";
import { rpcServerOf } from "../../src/rpc/server.ts";

export interface Edge {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface EdgeOptions {
  /** Bound of a request message, bytes. */
  readonly apiBodyBytesMax?: number;
}

/** Everybody may call the services; the receive path is not served. */
export async function startEdge(services: readonly ServiceImplSpec[], options: EdgeOptions = {}): Promise<Edge> {
  const logger = createLogger("silent");
  const watchdog = new Watchdog(LIMITS);
  const stopping = new AbortController();
  let url = "";
  const router = createRouter({
    rpc: rpcServerOf(services, async () => {}, logger),
    receiver: undefined as unknown as Receiver,
    linear: undefined as unknown as LinearReceiver,
    logger,
    readiness: async () => ({}),
    publicUrl: undefined,
    trustedProxies: new BlockList(),
    corsOrigins: [],
    corsMaxAgeSeconds: LIMITS.corsMaxAgeSeconds,
    fallbackOrigin: () => url,
    payloadBytesMax: 0,
    apiBodyBytesMax: options.apiBodyBytesMax ?? LIMITS.apiBodyBytesMax,
    budget: new BodyBudget(LIMITS),
    jsonDepthMax: LIMITS.jsonDepthMax,
    compressBytesMin: LIMITS.compressBytesMin,
    timeoutMsMax: LIMITS.timeoutMsMax,
    stopping: stopping.signal,
    watchdog,
  });
  const listener = new Listener(router.request, LIMITS, () => {}, { watchdog, handleStream: router.stream });
  const port = await listener.listen("127.0.0.1", 0);
  const close = async () => {
    stopping.abort();
    await listener.close(0);
  };
  url = `http://127.0.0.1:${port}`;
  return { url, port, close };
}
