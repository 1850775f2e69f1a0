/** A real HTTP proxy on this machine: it opens the tunnels that it is asked for, unless the test says otherwise. */
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { TlsOptions } from "node:tls";
import type { EgressProxy } from "../../src/outbound/dial.ts";

export interface Tunnel {
  /** As asked for: `address:port`. */
  readonly authority: string;
  readonly authorization: string | undefined;
}

/** Takes the place of opening the tunnel. */
export type ProxyBehaviour = (request: IncomingMessage, client: Socket, open: () => void) => void;

export interface ConnectProxy {
  readonly port: number;
  /** As a client is told of it. */
  readonly settings: EgressProxy;
  /** Every CONNECT in the order it came. */
  readonly tunnels: readonly Tunnel[];
  /** Requests other than CONNECT. */
  readonly others: readonly string[];
  behave(behaviour: ProxyBehaviour): void;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1, with TLS if `tls` says how. */
export async function startConnectProxy(
  options: { tls?: TlsOptions; authorization?: string } = {},
): Promise<ConnectProxy> {
  const tunnels: Tunnel[] = [];
  const others: string[] = [];
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  };
  let behaviour: ProxyBehaviour = (_request, _client, open) => open();
  const server = options.tls ? createTlsServer(options.tls) : createServer();
  server.on("connection", keep);
  server.on("request", (request, response) => {
    others.push(`${request.method} ${request.url}`);
    response.writeHead(405).end();
  });
  server.on("connect", (request: IncomingMessage, client: Socket, head: Buffer) => {
    const { url: authority = "", headers } = request;
    tunnels.push({ authority, authorization: headers["proxy-authorization"] });
    keep(client);
    behaviour(request, client, () => {
      const { hostname, port } = new URL(`http://${authority}`);
      const upstream = connect(Number(port || 80), hostname.replace(/^\[|\]$/g, ""));
      keep(upstream);
      const refuse = () => client.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
      upstream.once("error", refuse);
      upstream.once("connect", () => {
        upstream.off("error", refuse);
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        if (head.length > 0) upstream.write(head);
        upstream.pipe(client).pipe(upstream);
        client.once("close", () => upstream.destroy());
        upstream.once("close", () => client.destroy());
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    settings: {
      secure: options.tls !== undefined,
      hostname: options.tls ? "localhost" : "127.0.0.1",
      port,
      authorization: options.authorization,
    },
    tunnels,
    others,
    behave: (next) => {
      behaviour = next;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
