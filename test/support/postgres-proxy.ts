/**
 * A TCP proxy in front of PostgreSQL that makes the network's faults: connections that break, answers that get lost,
 * bytes that are late, and connections whose ends no longer know of each other.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way that bytes take. */
export type Direction = "toServer" | "toClient";

export interface PostgresProxy {
  /** The database's URL, through the proxy. */
  readonly url: string;
  /** Breaks every connection, and every new one as soon as it is made. */
  cut(): void;
  /** Breaks every connection; new ones are made as ever. */
  breakAll(): void;
  /** Breaks the connection on which the next statement that contains `marker` is answered, instead of passing the answer on. */
  loseAnswerTo(marker: string): void;
  /** Holds the next statement that contains `marker` back until a cancel request has overtaken it. */
  holdUntilCancel(marker: string): void;
  /** Bytes in these directions wait; none is lost. New connections wait too. */
  hold(directions: readonly Direction[]): void;
  /** From now on bytes are late by so many milliseconds. */
  delay(ms: number): void;
  /** Today's connections carry nothing any more, and neither end learns of the other's end; new ones are made as ever. */
  strand(): void;
  /** Works again as if nothing had happened; connections that were stranded break. */
  restore(): void;
  close(): Promise<void>;
}

/** The code in the place of a protocol version that makes a start-up packet a cancel request. */
const CANCEL_REQUEST = 80_877_102;
const isCancelRequest = (data: Buffer) => data.length === 16 && data.readInt32BE(4) === CANCEL_REQUEST;

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  stranded: boolean;
}

export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const pairs = new Set<Pair>();
  let isCut = false;
  let marker: string | undefined;
  let heldMarker: string | undefined;
  let heldBack: (() => void) | undefined;
  let held: readonly Direction[] = [];
  let delayMs = 0;

  const letHeldGo = () => {
    heldBack?.();
    heldBack = undefined;
  };
  const breakPair = (pair: Pair) => {
    pair.client.destroy();
    pair.upstream.destroy();
  };

  /** Passes bytes on, in order however late they are. */
  function carry(pair: Pair, direction: Direction, onData: (data: Buffer) => boolean): void {
    const [from, to] = direction === "toServer" ? [pair.client, pair.upstream] : [pair.upstream, pair.client];
    from.on("data", (data: Buffer) => {
      if (pair.stranded || !onData(data)) return;
      if (delayMs === 0) to.write(data);
      else setTimeout(() => pair.stranded || to.destroyed || to.write(data), delayMs);
    });
    if (held.includes(direction)) from.pause();
  }

  function join(client: Socket): void {
    const upstream = connect(Number(target.port), target.hostname);
    const pair: Pair = { client, upstream, stranded: false };
    pairs.add(pair);
    let losesAnswer = false;
    for (const socket of [client, upstream]) {
      socket.on("error", () => {});
      socket.on("close", () => {
        if (pair.stranded) return;
        pairs.delete(pair);
        breakPair(pair);
      });
    }
    carry(pair, "toServer", (data) => {
      if (marker !== undefined && data.includes(marker)) {
        marker = undefined;
        losesAnswer = true;
      }
      if (isCancelRequest(data)) upstream.once("close", letHeldGo);
      if (heldMarker === undefined || !data.includes(heldMarker)) return true;
      heldMarker = undefined;
      heldBack = () => upstream.write(data);
      return false;
    });
    carry(pair, "toClient", () => {
      if (losesAnswer) breakPair(pair);
      return !losesAnswer;
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

  const breakAll = () => {
    for (const pair of pairs) breakPair(pair);
  };
  const hold = (directions: readonly Direction[]) => {
    held = directions;
    for (const { client, upstream } of pairs) {
      if (held.includes("toServer")) client.pause();
      else client.resume();
      if (held.includes("toClient")) upstream.pause();
      else upstream.resume();
    }
  };
  const restore = () => {
    isCut = false;
    marker = undefined;
    delayMs = 0;
    hold([]);
    for (const pair of pairs) {
      if (!pair.stranded) continue;
      pairs.delete(pair);
      breakPair(pair);
    }
  };
  return {
    url: url.href,
    cut: () => {
      isCut = true;
      breakAll();
    },
    breakAll,
    loseAnswerTo: (text) => {
      marker = text;
    },
    holdUntilCancel: (text) => {
      heldMarker = text;
    },
    hold,
    delay: (ms) => {
      delayMs = ms;
    },
    strand: () => {
      for (const pair of pairs) pair.stranded = true;
    },
    restore,
    close: async () => {
      restore();
      isCut = true;
      breakAll();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
