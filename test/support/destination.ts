/** A destination on this machine whose answers the test decides, and which remembers what came. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Arrival {
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly path: string;
  readonly atMs: number;
}

export type Behaviour = (arrival: Arrival, response: ServerResponse, count: number) => void;

export interface Destination {
  readonly url: string;
  readonly port: number;
  readonly arrivals: readonly Arrival[];
  /** How later requests are answered; 200 at first. */
  behave(behaviour: Behaviour): void;
  /** Resolves when `count` requests have come since the start. */
  arrived(count: number): Promise<readonly Arrival[]>;
  close(): Promise<void>;
}

/** An answer with a status, and headers if any. */
export const answer =
  (status: number, headers: Readonly<Record<string, string>> = {}, body = ""): Behaviour =>
  (_arrival, response) => {
    response.writeHead(status, headers).end(body);
  };

export async function startDestination(): Promise<Destination> {
  const arrivals: Arrival[] = [];
  const waiting: { count: number; resolve: (arrivals: readonly Arrival[]) => void }[] = [];
  let behaviour: Behaviour = answer(200);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { headers, rawHeaders, url = "" } = request;
      const arrival = { headers, rawHeaders, body: Buffer.concat(chunks), path: url, atMs: Date.now() };
      arrivals.push(arrival);
      behaviour(arrival, response, arrivals.length);
      for (const waiter of waiting.splice(0)) {
        if (arrivals.length >= waiter.count) waiter.resolve(arrivals);
        else waiting.push(waiter);
      }
    });
    request.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    port,
    arrivals,
    behave: (next) => {
      behaviour = next;
    },
    arrived: async (count) => {
      if (arrivals.length >= count) return arrivals;
      return await new Promise((resolve) => waiting.push({ count, resolve }));
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
