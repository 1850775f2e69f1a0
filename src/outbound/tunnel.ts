/**
 * Connects to a destination through an HTTP proxy (CONNECT, RFC 9110 §9.3.6). The proxy resolves nothing for us: the
 * name is resolved here and every address judged, as on the direct way, and the proxy is told one of those. TLS with
 * the destination goes through the tunnel, so that the proxy sees neither request nor answer.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { BlockedAddressError, guardedLookup, isAllowedAddress } from "../security/ssrf.ts";
import { stageOf } from "./connector.ts";
import {
  ConnectError,
  type ConnectGuard,
  type ConnectTarget,
  closeSocket,
  type Dialled,
  type Dialler,
  type EgressProxy,
  stopwatch,
  TCP_KEEP_ALIVE_MS,
  tlsOptions,
} from "./dial.ts";

/** Addresses of one name that the proxy is asked to try, one after the other. */
const ADDRESSES_TRIED_MAX = 4;
/** Largest header section of a proxy's answer, bytes. */
const ANSWER_HEADER_BYTES_MAX = 16 * 1024;

/** The proxy did not open the tunnel. `status`: what it answered; null: it did not. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly status: number | null;
  readonly code: string;

  constructor(status: number | null, cause?: unknown) {
    super("the egress proxy did not open a tunnel", { cause });
    this.status = status;
    const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : "";
    this.code = typeof code === "string" ? code : "";
  }
}

/** Connects through the guard's proxy. */
export const dialThroughProxy: Dialler = (target, guard, times, callback) => {
  const tunnelling = new Tunnelling(target, guard);
  tunnelling.dial(times).then(
    (dialled) => callback(null, dialled),
    (error) => callback(error instanceof ConnectError ? error : new ConnectError("connect", error), null),
  );
  return tunnelling;
};

class Tunnelling {
  waitsForProxy = false;
  readonly #target: ConnectTarget;
  readonly #guard: ConnectGuard;
  #abandoned = false;
  /** What to destroy to end the current stage. */
  #current: { destroy(): unknown } | undefined;
  #socket: Socket | undefined;

  constructor(target: ConnectTarget, guard: ConnectGuard) {
    this.#target = target;
    this.#guard = guard;
  }

  async abandon(): Promise<void> {
    this.#abandoned = true;
    this.#current?.destroy();
    if (this.#socket) await closeSocket(this.#socket);
  }

  async dial(times: { dnsMs: number | null; connectMs: number | null; tlsMs: number | null }): Promise<Dialled> {
    const lap = stopwatch();
    const addresses = await resolve(this.#target, this.#guard);
    if (isIP(this.#target.hostname) === 0) times.dnsMs = lap();
    const { socket, remoteAddress } = await this.#tunnelToFirst(addresses.slice(0, ADDRESSES_TRIED_MAX));
    times.connectMs = lap();
    if (!this.#target.secure) return { socket, remoteAddress };
    const secured = await this.#handshake(socket);
    times.tlsMs = lap();
    return { socket: secured, remoteAddress };
  }

  /** A tunnel to the first address that the proxy reaches. */
  async #tunnelToFirst(addresses: readonly string[]): Promise<Dialled> {
    let unreached: unknown;
    for (const address of addresses) {
      try {
        return { socket: await this.#tunnel(address), remoteAddress: address };
      } catch (error) {
        if (!(error instanceof ConnectError && error.stage === "connect")) throw error;
        unreached = error;
      }
    }
    throw unreached;
  }

  #tunnel(address: string): Promise<Socket> {
    const { proxy } = this.#guard;
    if (this.#abandoned || proxy === undefined) throw new ConnectError("proxy", new ProxyError(null));
    this.waitsForProxy = true;
    const authority = `${isIP(address) === 6 ? `[${address}]` : address}:${this.#target.port}`;
    return new Promise((resolve, reject) => {
      const request = (proxy.secure ? httpsRequest : httpRequest)(connectOptions(proxy, authority, this.#guard));
      this.#current = request;
      request.once("socket", (socket) => {
        this.#socket = socket;
        socket.once(proxy.secure ? "secureConnect" : "connect", () => {
          this.waitsForProxy = false;
        });
      });
      request.once("connect", (answer, socket, head) => {
        const status = answer.statusCode ?? 0;
        if (status >= 200 && status <= 299) {
          if (head.length > 0) socket.unshift(head);
          socket.setNoDelay(true);
          socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
          // Errors from here on are those of the stage that follows, which listens itself.
          socket.on("error", () => {});
          resolve(socket);
          return;
        }
        socket.destroy();
        const error = new ProxyError(status);
        reject(new ConnectError(blamesDestination(answer) ? "connect" : "proxy", error));
      });
      request.on("error", (error) => reject(new ConnectError("proxy", new ProxyError(null, error))));
      request.end();
    });
  }

  #handshake(tunnel: Socket): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ ...tlsOptions(this.#target, this.#guard), socket: tunnel });
      this.#socket = socket;
      this.#current = socket;
      const fail = (error: unknown) => reject(new ConnectError("tls", error));
      socket.on("error", fail);
      socket.once("close", () => fail(new Error("closed before it was ready")));
      socket.once("secureConnect", () => resolve(socket));
    });
  }
}

/** The destination's addresses, all judged. */
function resolve({ hostname, port }: ConnectTarget, { policy, resolver }: ConnectGuard): Promise<readonly string[]> {
  return new Promise((found, reject) => {
    const fail = (error: unknown) => reject(new ConnectError(stageOf(error, false), error));
    if (isIP(hostname) !== 0) {
      if (isAllowedAddress(hostname, port, policy)) found([hostname]);
      else fail(new BlockedAddressError());
      return;
    }
    guardedLookup(policy, port, resolver)(hostname, { all: true }, (error, addresses) => {
      if (error) fail(error);
      else found((Array.isArray(addresses) ? addresses : []).map(({ address }) => address));
    });
  });
}

function connectOptions(proxy: EgressProxy, authority: string, guard: ConnectGuard): RequestOptions {
  return {
    host: proxy.hostname,
    port: proxy.port,
    method: "CONNECT",
    path: authority,
    headers: {
      host: authority,
      ...(proxy.authorization === undefined ? {} : { "proxy-authorization": proxy.authorization }),
    },
    // One tunnel to a connection; no agent's own idea of a proxy.
    agent: false,
    maxHeaderSize: ANSWER_HEADER_BYTES_MAX,
    // Of the proxy itself: without a name for TLS, Node would take that of the Host header, which is the destination's.
    ...(proxy.secure ? tlsOptions({ ...proxy, certificate: undefined }, guard) : {}),
  };
}

/**
 * Whether the proxy says that it is the destination that cannot be reached: as a gateway (502, 504), by Proxy-Status
 * (RFC 9209 §2.3), or in Squid's own words.
 */
function blamesDestination({ statusCode, headers }: IncomingMessage): boolean {
  if (statusCode === 502 || statusCode === 504) return true;
  const told = /\berror=(?:connection_|destination_(?:not_found|unavailable|ip_unroutable))/;
  return told.test(String(headers["proxy-status"])) || /^ERR_CONNECT_FAIL\b/.test(String(headers["x-squid-error"]));
}
