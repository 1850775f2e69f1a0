/** The HTTP/1 side of the port: what Node's server leaves open is bounded here, and answers are followed to their end. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { restError } from "../rpc/error-mapping.ts";
import type { Connection, Connections } from "./connections.ts";
import { type RequestHandler, sendError, sendJson } from "./exchange.ts";
import { type AnswerLimits, AnswerPace } from "./pace.ts";
import { Roster } from "./roster.ts";

export interface Http1Limits extends AnswerLimits {
  readonly headerBytesMax: number;
  readonly headersCountMax: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly tcpKeepAliveMs: number;
  readonly pipelinedRequestsMax: number;
  readonly sweepIntervalMs: number;
}

/** `Host = uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), empty where the target has no authority. */
const HOST = /^(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?$/;

interface Request {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** One connection's requests, which are served one after the other, however many are sent at once. */
interface Lane {
  readonly connection: Connection;
  readonly waiting: Request[];
  isBusy: boolean;
}

interface Answer {
  readonly response: ServerResponse;
  readonly pace: AnswerPace;
}

export class Http1 {
  readonly server: Server;
  readonly #take: (socket: Socket) => void;
  readonly #connections: Connections;
  readonly #handle: RequestHandler;
  readonly #limits: Http1Limits;
  readonly #lanes = new WeakMap<Socket, Lane>();
  readonly #answers = new Roster<Answer>();

  constructor(handle: RequestHandler, connections: Connections, limits: Http1Limits) {
    this.#handle = handle;
    this.#connections = connections;
    this.#limits = limits;
    this.server = createServer({
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      requireHostHeader: false,
      connectionsCheckingInterval: limits.sweepIntervalMs,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: limits.tcpKeepAliveMs,
    });
    // Node leaves headers over this number out; one more than is allowed tells that there were too many.
    this.server.maxHeadersCount = limits.headersCountMax + 1;
    const [take] = this.server.listeners("connection");
    this.server.removeAllListeners("connection");
    this.#take = (socket) => void take?.call(this.server, socket);
    this.server.on("request", (request, response) => this.#queue({ request, response }));
    // Whoever reads a body asks for it (RFC 9110 section 10.1.1), so that it is not sent in vain.
    this.server.on("checkContinue", (request, response) => this.#queue({ request, response }));
  }

  /** Answers under way. */
  get answers(): number {
    return this.#answers.size;
  }

  /** Speaks HTTP/1 on a socket of the connection: the accepted one, or what TLS made of it. */
  speak(socket: Socket, connection: Connection): void {
    this.#lanes.set(socket, { connection, waiting: [], isBusy: false });
    this.#take(socket);
  }

  /** Ends each connection with the answer that is under way, and idle ones at once. */
  retire(): void {
    this.server.closeIdleConnections();
    for (const { response } of this.#answers) this.#makeLast(response);
  }

  sweep(nowMs: number): void {
    for (const { response, pace } of this.#answers) if (pace.isStalled(nowMs)) response.socket?.destroy();
  }

  #queue(exchange: Request): void {
    const lane = this.#lanes.get(exchange.request.socket);
    if (!lane) return;
    if (!lane.isBusy) this.#serve(lane, exchange);
    else if (lane.waiting.length < this.#limits.pipelinedRequestsMax) lane.waiting.push(exchange);
    // Node reads on whatever waits, so that only the end of the connection bounds it.
    else exchange.request.socket.destroy();
  }

  #serve(lane: Lane, { request, response }: Request): void {
    lane.isBusy = true;
    // A request that is closed before its answer has no socket any more.
    const { socket } = request;
    this.#connections.beginExchange(lane.connection);
    const remove = this.#answers.add({ response, pace: new AnswerPace(response, this.#limits) });
    response.on("close", () => {
      remove();
      this.#connections.endExchange(lane.connection);
      // After the answer that ends the connection nothing is served, although it may have been read.
      if (!socket.writable) return;
      lane.isBusy = false;
      const next = lane.waiting.shift();
      if (next) this.#serve(lane, next);
    });
    if (!this.server.listening) this.#makeLast(response);
    if (this.#isAcceptable(request, response)) this.#handle(request, response);
  }

  /** Answers what Node lets pass and the specification does not. */
  #isAcceptable(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.rawHeaders.length > 2 * this.#limits.headersCountMax) {
      refuse(431, { request, response });
      return false;
    }
    if (!hasOneHost(request)) {
      refuse(400, { request, response });
      return false;
    }
    return true;
  }

  /** Ends the connection with this answer: a client that goes on asking would hold a close up for all of its grace. */
  #makeLast(response: ServerResponse): void {
    if (response.headersSent) response.once("close", () => this.server.closeIdleConnections());
    else response.shouldKeepAlive = false;
  }
}

function refuse(status: 400 | 431, exchange: Request): void {
  exchange.response.shouldKeepAlive = false;
  const message = status === 431 ? "the request has too many headers" : "the request must have one valid Host";
  const error = restError("BAD_REQUEST", message);
  if (status === 431) sendJson(exchange, status, error.body);
  else sendError(exchange, error);
}

/** RFC 9112 §3.2: one Host that may be one; HTTP/1.0 may do without. */
function hasOneHost({ rawHeaders, headers, httpVersionMinor }: IncomingMessage): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1;
  }
  if (hosts === 0) return httpVersionMinor === 0;
  return hosts === 1 && HOST.test(headers.host ?? "");
}
