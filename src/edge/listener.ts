/**
 * One port for HTTP/1.1 and HTTP/2, in cleartext or over TLS. The http.Server listens; its `connection` listener is
 * taken over, the first bytes tell the protocol, and the socket goes to the server that speaks it.
 */
import {
  createServer as createHttp2Server,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, BlockList, Socket } from "node:net";
import type { StreamHandler } from "../grpc/unary.ts";
import { type Connection, type ConnectionLimits, Connections } from "./connections.ts";
import type { RequestHandler } from "./exchange.ts";
import { Http1, type Http1Limits } from "./http1.ts";
import { SessionGuard, type SessionLimits } from "./http2-guard.ts";
import { beginsHttp2, beginsTls, sniff } from "./sniff.ts";
import type { TlsGate } from "./tls.ts";
import { type BodyLimits, Watchdog } from "./watchdog.ts";

/** Bounds of the port; `config.ts` says what each is. */
export interface ListenerLimits extends ConnectionLimits, Http1Limits, SessionLimits, BodyLimits {
  readonly http2StreamsMax: number;
  readonly http2SessionMemoryMiB: number;
  readonly http2SettingsMax: number;
}

export interface ListenerOptions {
  /** With it the port speaks TLS only. */
  readonly tls?: TlsGate | undefined;
  /** Peers whose connections are not counted. */
  readonly trustedPeers?: BlockList;
  /** Offered every stream of HTTP/2 before Node makes a request of it. */
  readonly handleStream?: StreamHandler;
  /** Shared with those who read bodies; the listener starts and stops it. */
  readonly watchdog?: Watchdog;
}

/** What is open at the port. */
export interface ListenerCounts {
  readonly connections: number;
  /** Connections that have not said which protocol they speak. */
  readonly silent: number;
  /** HTTP/1 answers under way. */
  readonly answers: number;
  /** HTTP/2 sessions, and the streams of all of them. */
  readonly sessions: number;
  readonly streams: number;
  /** Request bodies that are being read. */
  readonly bodies: number;
}

export class Listener {
  readonly #http1: Http1;
  readonly #http2: Http2Server;
  readonly #connections: Connections;
  readonly #sessions = new Map<ServerHttp2Session, SessionGuard>();
  readonly #limits: ListenerLimits;
  readonly #tls: TlsGate | undefined;
  readonly #watchdog: Watchdog;
  readonly #onFailure: (error: Error) => void;

  /** `onFailure` hears of connections that could not be accepted; the port goes on. */
  constructor(
    handle: RequestHandler,
    limits: ListenerLimits,
    onFailure: (error: Error) => void,
    { tls, trustedPeers, handleStream, watchdog = new Watchdog(limits) }: ListenerOptions = {},
  ) {
    this.#limits = limits;
    this.#onFailure = onFailure;
    this.#tls = tls;
    this.#watchdog = watchdog;
    this.#connections = new Connections(limits, trustedPeers);
    this.#http1 = new Http1(handle, this.#connections, limits);
    this.#http1.server.on("connection", (socket: Socket) => this.#accept(socket));
    this.#http2 = createHttp2Server(
      {
        maxSessionMemory: limits.http2SessionMemoryMiB,
        maxSettings: limits.http2SettingsMax,
        maxHeaderListPairs: limits.headersCountMax,
        streamResetBurst: limits.http2ResetBurst,
        streamResetRate: limits.http2ResetsPerSecond,
        settings: { maxConcurrentStreams: limits.http2StreamsMax, maxHeaderListSize: limits.headerBytesMax },
      },
      handle,
    );
    this.#http2.on("checkContinue", handle);
    if (handleStream) this.#offerStreams(handleStream);
    // An error of one socket ends that socket and nothing else.
    this.#http2.on("sessionError", () => {});
  }

  /** Node's own listener makes a request of a stream, and a response. */
  #offerStreams(handle: StreamHandler): void {
    const [toRequest] = this.#http2.listeners("stream");
    this.#http2.removeAllListeners("stream");
    this.#http2.on("stream", (...stream) => {
      if (!handle(stream[0] as ServerHttp2Stream, stream[1])) toRequest?.apply(this.#http2, stream);
    });
  }

  /** Listens; resolves to the port. Rejects if it cannot (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
  async listen(host: string, port: number): Promise<number> {
    const { server } = this.#http1;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, () => {
        server.off("error", reject);
        server.on("error", this.#onFailure);
        resolve();
      });
    });
    this.#watchdog.watch({ sweep: (nowMs) => this.#sweep(nowMs) });
    this.#watchdog.start();
    this.#tls?.watch();
    return (server.address() as AddressInfo).port;
  }

  counts(): ListenerCounts {
    let streams = 0;
    for (const guard of this.#sessions.values()) streams += guard.streams;
    return {
      connections: this.#connections.size,
      silent: this.#connections.silent,
      answers: this.#http1.answers,
      sessions: this.#sessions.size,
      streams,
      bodies: this.#watchdog.bodies,
    };
  }

  /**
   * Stops accepting, lets requests under way end for up to `graceMs`, then closes what is left. Resolves to how many
   * requests it cut off.
   */
  async close(graceMs: number): Promise<number> {
    let cut = 0;
    const closed = new Promise<void>((resolve) => this.#http1.server.close(() => resolve()));
    this.#http1.retire();
    this.#connections.destroySilent();
    for (const guard of this.#sessions.values()) guard.retire();
    const grace = setTimeout(() => {
      const { answers, streams } = this.counts();
      cut = answers + streams;
      this.#connections.destroyAll();
    }, graceMs);
    await closed;
    clearTimeout(grace);
    this.#watchdog.stop();
    this.#tls?.unwatch();
    return cut;
  }

  #accept(socket: Socket): void {
    const connection = this.#connections.admit(socket);
    if (!connection) return;
    const tls = this.#tls;
    if (!tls) {
      this.#speak(socket, connection);
      return;
    }
    sniff(socket, beginsTls, (isTls) => {
      if (isTls) this.#speak(tls.secure(socket), connection);
      else tls.refuse(socket);
    });
  }

  #speak(socket: Socket, connection: Connection): void {
    sniff(socket, beginsHttp2, (isHttp2) => {
      this.#connections.hear(connection);
      if (isHttp2) this.#speakHttp2(socket, connection);
      else this.#http1.speak(socket, connection);
    });
  }

  #speakHttp2(socket: Socket, connection: Connection): void {
    // The http.Server's sockets may be half open; a session whose peer has ended is over.
    socket.allowHalfOpen = false;
    const onSession = (session: ServerHttp2Session) => this.#guard(session, connection);
    this.#http2.once("session", onSession);
    this.#http2.emit("connection", socket);
    this.#http2.off("session", onSession);
  }

  #guard(session: ServerHttp2Session, connection: Connection): void {
    const guard = new SessionGuard(
      session,
      {
        bytesRead: () => connection.socket.bytesRead,
        onStream: () => this.#connections.beginExchange(connection),
        onStreamEnd: () => this.#connections.endExchange(connection),
        destroy: () => connection.socket.destroy(),
      },
      this.#limits,
    );
    this.#sessions.set(session, guard);
    session.on("close", () => this.#sessions.delete(session));
    session.on("error", () => session.destroy());
    if (!this.#http1.server.listening) guard.retire();
  }

  #sweep(nowMs: number): void {
    this.#connections.sweep(nowMs);
    this.#http1.sweep(nowMs);
    for (const guard of this.#sessions.values()) guard.sweep(nowMs);
  }
}
