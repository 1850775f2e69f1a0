/** A TCP proxy in front of PostgreSQL that can be cut: a store that is down, or whose answers get lost. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface PostgresProxy {
  /** The database's URL, through the proxy. */
  readonly url: string;
  /** Breaks every connection, and every new one as soon as it is made. */
  cut(): void;
  /** Works again as if nothing had happened. */
  restore(): void;
  /** Breaks the connection on which the next statement that contains `marker` is answered, instead of passing the answer on. */
  loseAnswerTo(marker: string): void;
  /** Holds the next statement that contains `marker` back until a cancel request has overtaken it. */
  holdUntilCancel(marker: string): void;
  close(): Promise<void>;
}

/** The code in the place of a protocol version that makes a start-up packet a cancel request. */
const CANCEL_REQUEST = 80_877_102;
const isCancelRequest = (data: Buffer) => data.length === 16 && data.readInt32BE(4) === CANCEL_REQUEST;

export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let isCut = false;
  let marker: string | undefined;
  let heldMarker: string | undefined;
  let heldBack: (() => void) | undefined;
  const letHeldGo = () => {
    heldBack?.();
    heldBack = undefined;
  };

  function join(client: Socket): void {
    const upstream = connect(Number(target.port), target.hostname);
    let losesAnswer = false;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on("data", (data: Buffer) => {
      if (marker !== undefined && data.includes(marker)) {
        marker = undefined;
        losesAnswer = true;
      }
      if (isCancelRequest(data)) upstream.once("close", letHeldGo);
      if (heldMarker !== undefined && data.includes(heldMarker)) {
        heldMarker = undefined;
        heldBack = () => upstream.write(data);
      } else upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (losesAnswer) end();
      else client.write(data);
    });
  }

  const server = createServer((client) => {
    client.on("error", () => {});
    if (isCut) client.destroy();
    else join(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(target);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    cut,
    restore: () => {
      isCut = false;
      marker = undefined;
    },
    loseAnswerTo: (text) => {
      marker = text;
    },
    holdUntilCancel: (text) => {
      heldMarker = text;
    },
    close: async () => {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
