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
  close(): Promise<void>;
}

export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let isCut = false;
  let marker: string | undefined;

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
    client.on("data", (data) => {
      if (marker !== undefined && data.includes(marker)) {
        marker = undefined;
        losesAnswer = true;
      }
      upstream.write(data);
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
    close: async () => {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
