/** Local servers that tests of deliveries connect to, and see what became of every connection. */
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

const fixture = (name: string) => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
export const localhostCertificate = fixture("localhost-cert.pem");
export const localhostKey = fixture("localhost-key.pem");
/** Valid until 2020. */
export const expiredCertificate = fixture("expired-cert.pem");
export const expiredKey = fixture("renewed-key.pem");

/** A listening server that counts what it is sent. */
export interface CountingServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: () => number;
  /** Requests whose head and body arrived whole so far, as text. */
  readonly requests: readonly string[];
  /** Resolves when the first connection has arrived. */
  readonly connected: Promise<void>;
  /** Resolves when the first request has arrived. */
  readonly requested: Promise<void>;
  /** Resolves when no connection is open. */
  readonly allClosed: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What a server does with a connection, and with the n-th request on it (from 1). */
export interface Behaviour {
  readonly onConnection?: (socket: Socket) => unknown;
  readonly onRequest?: (socket: Socket, count: number) => unknown;
}

export interface ListenOptions {
  /** Speaks TLS, with the fixture's certificate for localhost unless these say otherwise. */
  readonly tls?: TlsOptions;
}

/** Listens on a free port of 127.0.0.1. */
export async function listen(behaviour: Behaviour, { tls }: ListenOptions = {}): Promise<CountingServer> {
  const open = new Set<Socket>();
  const requests: string[] = [];
  const connected = Promise.withResolvers<void>();
  const requested = Promise.withResolvers<void>();
  let accepted = 0;
  let closedWaiters: (() => void)[] = [];
  const accept = (socket: Socket) => {
    serve(socket, behaviour, (request) => {
      requests.push(request);
      requested.resolve();
    });
  };
  const server: Server = tls
    ? createTlsServer({ cert: localhostCertificate, key: localhostKey, ...tls }, accept)
    : createTcpServer(accept);
  server.on("connection", (socket: Socket) => {
    accepted += 1;
    open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      open.delete(socket);
      if (open.size > 0) return;
      for (const resolve of closedWaiters) resolve();
      closedWaiters = [];
    });
    connected.resolve();
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => accepted,
    requests,
    connected: connected.promise,
    requested: requested.promise,
    allClosed: () =>
      open.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            closedWaiters.push(resolve);
          }),
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function serve(socket: Socket, behaviour: Behaviour, record: (request: string) => void): void {
  let received = Buffer.alloc(0);
  let count = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    for (let length = requestLength(received); length > 0; length = requestLength(received)) {
      record(received.subarray(0, length).toString("latin1"));
      received = received.subarray(length);
      count += 1;
      behaviour.onRequest?.(socket, count);
    }
  });
  behaviour.onConnection?.(socket);
}

/** The length of the first whole request in the bytes; 0 while it is not whole. */
function requestLength(received: Buffer): number {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return 0;
  const declared = /content-length: (\d+)/i.exec(received.subarray(0, end).toString("latin1"));
  const length = end + 4 + Number(declared?.[1] ?? 0);
  return received.length >= length ? length : 0;
}
