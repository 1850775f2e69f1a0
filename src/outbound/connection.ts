/**
 * One connection to one origin, kept alive between exchanges: an undici Client, which speaks HTTP/1.1, over
 * sockets from `openConnection`. A Client of its own for every connection, because undici's Agent and Pool queue
 * without bound and cannot give up a socket that is still connecting.
 *
 * unconnected → (exchange) → busy → idle → busy → … → destroyed
 *
 * An idle connection whose socket has died is destroyed through `onIdleLost`. Where that is noticed only when an
 * exchange starts, the Client connects anew before it writes anything; more than one connect in an exchange is
 * refused, so that a peer which hangs up on every connection cannot keep us connecting.
 */
import type { Socket } from "node:net";
import { type buildConnector, Client } from "undici";
import { hostnameOf, portOf } from "../security/url-policy.ts";
import { type ConnectGuard, type ConnectTimes, NO_CONNECT, openConnection } from "./connector.ts";
import { ProtocolError } from "./exchange.ts";

/** Limits of one connection. */
export interface ConnectionLimits {
  /** Largest response header section, bytes. */
  readonly headerBytesMax: number;
  /** Most that is read for one exchange, whatever it is (a status line and chunk extensions have no bound else), bytes. */
  readonly exchangeBytesMax: number;
  /** How long an idle connection is kept, and at most where the server asks for longer, milliseconds. */
  readonly keepAliveMs: number;
  readonly keepAliveMsMax: number;
}

/** How long the parts of one exchange took, milliseconds; null: it did not take place, or did not end. */
export interface ExchangeTimes extends Readonly<ConnectTimes> {
  /** From the time at which the connection was ready for the request to the first byte of the answer. */
  readonly firstByteMs: number | null;
}

/** The peer closed the connection before the request was written. `cause` is what undici said of the close. */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  readonly code = "ERR_CONNECTION_LOST";

  constructor(cause: unknown) {
    super("the destination closed the connection before the request was sent", { cause });
  }
}

export class Connection {
  readonly origin: string;
  readonly client: Client;
  readonly #guard: ConnectGuard;
  readonly #onIdleLost: (connection: Connection) => void;
  readonly #exchangeBytesMax: number;
  #socket: Socket | null = null;
  #remoteAddress: string | null = null;
  #connectsLeft = 0;
  /** What the socket had received when the exchange began, bytes. */
  #bytesBefore = 0;
  #connectTimes: ConnectTimes = { ...NO_CONNECT };
  #readyAtMs = 0;
  #firstByteMs: number | null = null;
  #busy = false;
  #closeReason: unknown = null;

  constructor(url: URL, guard: ConnectGuard, limits: ConnectionLimits, onIdleLost: (connection: Connection) => void) {
    this.origin = url.origin;
    this.#guard = guard;
    this.#onIdleLost = onIdleLost;
    this.#exchangeBytesMax = limits.exchangeBytesMax;
    const target = { secure: url.protocol === "https:", hostname: hostnameOf(url), port: portOf(url) };
    this.client = new Client(url.origin, {
      connect: (_options, callback) => this.#connect(target, callback),
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: limits.headerBytesMax,
      // The attempt's one deadline covers these.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: limits.keepAliveMs,
      keepAliveMaxTimeout: limits.keepAliveMsMax,
    });
    this.client.on("disconnect", (_origin, _targets, error) => this.#disconnected(error));
  }

  /** The peer's address of the current or last socket; null before the first. */
  get remoteAddress(): string | null {
    return this.#remoteAddress;
  }

  /** The times of the current or last exchange; those of connecting are null where the connection was reused. */
  get times(): ExchangeTimes {
    return { ...this.#connectTimes, firstByteMs: this.#firstByteMs };
  }

  /** Marks the start of an exchange, which may connect once. */
  begin(): void {
    this.#busy = true;
    this.#connectsLeft = 1;
    this.#connectTimes = { ...NO_CONNECT };
    this.#firstByteMs = null;
    this.#readyAtMs = performance.now();
    this.#bytesBefore = this.#socket?.bytesRead ?? 0;
  }

  /** Marks the end of an exchange. Whether the connection can serve another. */
  end(): boolean {
    this.#busy = false;
    return this.#socket !== null && !this.#socket.destroyed && !this.client.destroyed;
  }

  /** Gives the connection up at once, also while it is connecting. Resolves when its socket is closed. */
  async destroy(): Promise<void> {
    const socket = this.#socket;
    const closed = socket === null || socket.closed ? Promise.resolve() : onceClosed(socket);
    socket?.destroy();
    await Promise.all([this.client.destroy(), closed]);
  }

  #connect(target: Parameters<typeof openConnection>[0], callback: buildConnector.Callback): void {
    if (this.#connectsLeft === 0) {
      const error = new ConnectionLostError(this.#closeReason);
      process.nextTick(() => callback(error, null));
      return;
    }
    this.#connectsLeft -= 1;
    this.#remoteAddress = null;
    this.#socket = openConnection(target, this.#guard, this.#connectTimes, (error, socket) => {
      if (error !== null || socket === null) {
        callback(error ?? new ConnectionLostError(null), null);
        return;
      }
      this.#remoteAddress = socket.remoteAddress ?? null;
      this.#bytesBefore = socket.bytesRead;
      this.#readyAtMs = performance.now();
      socket.on("readable", () => this.#read(socket));
      callback(null, socket);
    });
  }

  #read(socket: Socket): void {
    if (socket.readableLength > 0) this.#firstByteMs ??= performance.now() - this.#readyAtMs;
    if (socket.bytesRead - this.#bytesBefore <= this.#exchangeBytesMax) return;
    socket.destroy(new ProtocolError("more than an answer may hold"));
  }

  #disconnected(error: unknown): void {
    this.#closeReason = error;
    if (!this.#busy) this.#onIdleLost(this);
  }
}

function onceClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
  });
}
