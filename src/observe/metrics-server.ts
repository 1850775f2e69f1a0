/**
 * Serves the figures on a port of their own: they are about all tenants, whose keys must not show them, and whoever
 * scrapes them need hold no key. In cleartext and open to whoever reaches it, so it listens on loopback unless told
 * otherwise.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";

/** Bounds of the port. Times in milliseconds. */
export interface MetricsServerLimits {
  readonly metricsConnectionsMax: number;
  readonly metricsRequestTimeoutMs: number;
}

export class MetricsServer {
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #server: Server;

  constructor(metrics: Metrics, logger: Logger, limits: MetricsServerLimits) {
    this.#metrics = metrics;
    this.#logger = logger;
    const timeoutMs = limits.metricsRequestTimeoutMs;
    this.#server = createServer(
      { requestTimeout: timeoutMs, headersTimeout: timeoutMs, connectionsCheckingInterval: timeoutMs },
      (request, response) => {
        this.#answer(request, response).catch((err: unknown) => {
          this.#logger.error({ err }, "the metrics could not be shown");
          send(response, 500, "the metrics cannot be shown; the service's log says why\n");
        });
      },
    );
    this.#server.maxConnections = limits.metricsConnectionsMax;
  }

  /** Resolves to the port. Rejects if it cannot listen (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (err) =>
          this.#logger.error({ err }, "the metrics' port failed to accept a connection"),
        );
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends at once: whoever scrapes comes again. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path] = (url ?? "").split("?", 1);
    if (path !== "/metrics") send(response, 404, "the metrics are at /metrics\n");
    else if (method !== "GET" && method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      send(response, 405, "this path takes GET, HEAD\n");
    } else {
      const text = await this.#metrics.text();
      response.setHeader("content-type", this.#metrics.contentType);
      send(response, 200, text);
    }
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  if (!response.hasHeader("content-type")) response.setHeader("content-type", "text/plain; charset=utf-8");
  response.writeHead(status, { "content-length": Buffer.byteLength(text) }).end(text);
}
