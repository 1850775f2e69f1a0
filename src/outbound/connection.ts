/**
 * One connection to one origin, kept alive between exchanges: an undici Client, which speaks HTTP/1.1, over
 * sockets from a `Dialler`. A Client of its own for every connection, because undici's Agent and Pool queue
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
import { dialDirectly } from "./connector.ts";
import {
  type ClientCertificate,
  type ConnectGuard,
  type ConnectTarget,
  type ConnectTimes,
  type Dial,
  NO_CONNECT,
} from "./dial.ts";
import { ProtocolError } from "./exchange.ts";
import { dialThroughProxy } from "./tunnel.ts";

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

/** Whom a connection is to, and as whom. */
export interface Peer {
  readonly url: URL;
  readonly certificate: ClientCertificate | undefined;
}

/** Connections are shared by those whose peers are the same. */
export function keyOf({ url, certificate }: Peer): string {
  return certificate === undefined ? url.origin : `${url.origin} ${certificate.id}`;
}

export class Connection {
  readonly key: string;
  readonly client: Client;
  readonly #guard: ConnectGuard;
  readonly #onIdleLost: (connection: Connection) => void;
  readonly #exchangeBytesMax: number;
  #dial: Dial | null = null;
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
  /** What the socket itself said of its end, which undici may not have seen. */
  #socketError: Error | null = null;

  constructor(peer: Peer, guard: ConnectGuard, limits: ConnectionLimits, onIdleLost: (connection: Connection) => void) {
    const { url, certificate } = peer;
    this.key = keyOf(peer);
    this.#guard = guard;
    this.#onIdleLost = onIdleLost;
    this.#exchangeBytesMax = limits.exchangeBytesMax;
    const target = { secure: url.protocol === "https:", hostname: hostnameOf(url), port: portOf(url), certificate };
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

  /** Whether the current exchange still waits for the egress proxy to accept its connection. */
  get waitsForProxy(): boolean {
    return this.#socket === null && this.#dial?.waitsForProxy === true;
  }

  /** The TLS alert with which the peer ended the current connection; null: none. */
  get alert(): Error | null {
    const error = this.#socketError;
    return error !== null && "code" in error && /^ERR_SSL_.*_ALERT_/.test(String(error.code)) ? error : null;
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
    await Promise.all([this.#dial?.abandon(), this.client.destroy()]);
  }

  #connect(target: ConnectTarget, callback: buildConnector.Callback): void {
    if (this.#connectsLeft === 0) {
      const error = new ConnectionLostError(this.#closeReason);
      process.nextTick(() => callback(error, null));
      return;
    }
    this.#connectsLeft -= 1;
    this.#remoteAddress = null;
    this.#socket = null;
    this.#socketError = null;
    const dial = this.#guard.proxy === undefined ? dialDirectly : dialThroughProxy;
    this.#dial = dial(target, this.#guard, this.#connectTimes, (error, dialled) => {
      if (error !== null || dialled === null) {
        callback(error ?? new ConnectionLostError(null), null);
        return;
      }
      const { socket } = dialled;
      this.#socket = socket;
      this.#remoteAddress = dialled.remoteAddress;
      this.#bytesBefore = socket.bytesRead;
      this.#readyAtMs = performance.now();
      socket.on("error", (reason) => {
        this.#socketError ??= reason;
      });
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
