/**
 * One cleartext port for HTTP/1.1 and HTTP/2. The http.Server listens; its `connection` listener is taken over, the
 * first bytes are compared with the HTTP/2 preface (RFC 9113 §3.4), put back, and the socket goes to the server that
 * speaks its protocol.
 */
import { createServer as createHttp1Server, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { RequestHandler } from "./exchange.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Bounds of the port. Times in milliseconds. */
export interface ListenerLimits {
  readonly headerBytesMax: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly prefaceTimeoutMs: number;
  readonly connectionsMax: number;
  readonly http2StreamsMax: number;
  readonly http2SessionMemoryMiB: number;
  readonly http2SettingsMax: number;
}

export class Listener {
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #sockets = new Set<Socket>();
  /** Connections that have not said which protocol they speak. */
  readonly #silent = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** HTTP/1 answers under way. */
  readonly #answers = new Set<ServerResponse>();
  readonly #limits: ListenerLimits;
  readonly #onFailure: (error: Error) => void;

  /** `onFailure` hears of connections that could not be accepted; the port goes on. */
  constructor(handle: RequestHandler, limits: ListenerLimits, onFailure: (error: Error) => void) {
    this.#limits = limits;
    this.#onFailure = onFailure;
    const handleHttp1 = (request: IncomingMessage, response: ServerResponse) => {
      this.#follow(response);
      handle(request, response);
    };
    this.#http1 = createHttp1Server(
      {
        maxHeaderSize: limits.headerBytesMax,
        headersTimeout: limits.headersTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        noDelay: true,
      },
      handleHttp1,
    );
    // Whoever reads a body asks for it (RFC 9110 section 10.1.1), so that it is not sent in vain.
    this.#http1.on("checkContinue", handleHttp1);
    this.#http1.maxConnections = limits.connectionsMax;
    this.#http2 = createHttp2Server(
      {
        maxSessionMemory: limits.http2SessionMemoryMiB,
        maxSettings: limits.http2SettingsMax,
        settings: { maxConcurrentStreams: limits.http2StreamsMax, maxHeaderListSize: limits.headerBytesMax },
      },
      handle,
    );
    this.#http2.on("checkContinue", handle);
    this.#http2.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      session.on("error", () => session.destroy());
    });
    // An error of one socket ends that socket and nothing else.
    this.#http2.on("sessionError", () => {});
    this.#takeOverConnections();
  }

  /** Listens; resolves to the port. Rejects if it cannot (EADDRINUSE, EACCES, EADDRNOTAVAIL). */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#http1.once("error", reject);
      this.#http1.listen({ host, port }, () => {
        this.#http1.off("error", reject);
        this.#http1.on("error", this.#onFailure);
        resolve();
      });
    });
    return (this.#http1.address() as AddressInfo).port;
  }

  /** Stops accepting, lets requests under way end for up to `graceMs`, then closes what is left. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http1.close(() => resolve()));
    this.#http1.closeIdleConnections();
    for (const socket of this.#silent) socket.destroy();
    for (const response of this.#answers) this.#makeLast(response);
    for (const session of this.#sessions) session.close();
    const grace = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(grace);
  }

  #follow(response: ServerResponse): void {
    this.#answers.add(response);
    response.once("close", () => this.#answers.delete(response));
    if (!this.#http1.listening) this.#makeLast(response);
  }

  /** Ends the connection with this answer: a client that goes on asking would hold a close up for all of its grace. */
  #makeLast(response: ServerResponse): void {
    if (response.headersSent) response.once("close", () => this.#http1.closeIdleConnections());
    else response.shouldKeepAlive = false;
  }

  #takeOverConnections(): void {
    const [toHttp1] = this.#http1.listeners("connection");
    this.#http1.removeAllListeners("connection");
    this.#http1.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      this.#sniff(socket, (isHttp2) => {
        if (isHttp2) this.#http2.emit("connection", socket);
        else toHttp1?.call(this.#http1, socket);
      });
    });
  }

  /** Reads until the protocol is known, then puts the bytes back. A socket that stays silent is closed. */
  #sniff(socket: Socket, hand: (isHttp2: boolean) => void): void {
    let seen: Buffer = Buffer.alloc(0);
    this.#silent.add(socket);
    const ignore = () => socket.destroy();
    const timer = setTimeout(() => socket.destroy(), this.#limits.prefaceTimeoutMs);
    const onReadable = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const length = Math.min(seen.length, PREFACE.length);
      const matches = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
      if (matches && length < PREFACE.length) return;
      clearTimeout(timer);
      this.#silent.delete(socket);
      socket.off("readable", onReadable);
      socket.off("error", ignore);
      socket.unshift(seen);
      hand(matches);
    };
    socket.on("readable", onReadable);
    socket.on("error", ignore);
    socket.once("close", () => {
      clearTimeout(timer);
      this.#silent.delete(socket);
    });
  }
}
