/** A destination in the very process that sends, so that one clock tells how long an event was on its way. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Sample } from "./load.ts";
import { loadAtRate, type RateLoad } from "./load-receive.ts";

export class Arrivals {
  readonly port: number;
  readonly #server: Server;
  #onArrival: (n: number, atMs: number) => void = () => {};

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(): Promise<Arrivals> {
    const server = createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
      const atMs = performance.now();
      const body = await text(request);
      response.writeHead(200, { "content-length": 2 }).end("ok");
      arrivals.#onArrival(Number(/^\{"n":(\d+)/.exec(body)?.[1]), atMs);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const arrivals = new Arrivals(server);
    return arrivals;
  }

  /** Sends at a rate to where it is forwarded from, or directly; resolves to the times from due to here. */
  async timed(load: Omit<RateLoad, "onDue">): Promise<Sample> {
    const due = new Map<number, number>();
    const latencies: number[] = [];
    const { promise: allHere, resolve } = Promise.withResolvers<void>();
    let sent = false;
    const look = () => {
      if (sent && due.size === 0) resolve();
    };
    this.#onArrival = (n, atMs) => {
      const dueMs = due.get(n);
      if (dueMs === undefined) return;
      due.delete(n);
      latencies.push(atMs - dueMs);
      look();
    };
    const { answers, seconds } = await loadAtRate({ ...load, onDue: (n, dueMs) => due.set(n, dueMs) });
    sent = true;
    look();
    await allHere;
    return { answers, seconds, latenciesMs: Float64Array.from(latencies).sort() };
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
