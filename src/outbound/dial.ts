/** What the ways to a destination have in common: directly (`connector.ts`), or through the egress proxy (`tunnel.ts`). */
import { isIP, type Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { DestinationPolicy, Resolver } from "../security/ssrf.ts";

/** Idle time after which the kernel probes an open connection, milliseconds. */
export const TCP_KEEP_ALIVE_MS = 60_000;

/** Where a connection failed. */
export type ConnectStage = "blocked_address" | "dns" | "connect" | "tls" | "proxy";

/** A connection that could not be made. `cause` is the system's error: for the log, not for the record. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly code = "ERR_DESTINATION_CONNECT";
  readonly stage: ConnectStage;

  constructor(stage: ConnectStage, cause: unknown) {
    super(`connecting to the destination failed (${stage})`, { cause });
    this.stage = stage;
  }
}

/** A certificate that we show, with its key, both PEM. */
export interface ClientCertificate {
  /** Equal for equal certificates and keys, and no others: connections are shared by it. */
  readonly id: string;
  readonly certificate: string;
  readonly key: string;
}

/** A destination's own coordinates; `hostname` without brackets. */
export interface ConnectTarget {
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly certificate: ClientCertificate | undefined;
}

/** The HTTP proxy through which everything goes. */
export interface EgressProxy {
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** The value of Proxy-Authorization. */
  readonly authorization: string | undefined;
}

/** What a connection is made under. */
export interface ConnectGuard {
  readonly policy: DestinationPolicy;
  readonly resolver: Resolver;
  /** PEM certificates trusted instead of the system's; undefined: the system's. */
  readonly certificateAuthorities: string | undefined;
  readonly proxy: EgressProxy | undefined;
}

/** How long each stage of a connection took, milliseconds; null: it did not take place, or did not end. */
export interface ConnectTimes {
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
}

export const NO_CONNECT: Readonly<ConnectTimes> = Object.freeze({ dnsMs: null, connectMs: null, tlsMs: null });

/** A connection that is ready for a request. */
export interface Dialled {
  readonly socket: Socket;
  readonly remoteAddress: string | null;
}

/** A connection under way, or made. */
export interface Dial {
  /** Whether it waits for the egress proxy to accept it. */
  readonly waitsForProxy: boolean;
  /** Gives it up at any stage, also when it is made; resolves when its socket is closed. */
  abandon(): Promise<void>;
}

/**
 * Starts a connection. `callback` is called once, never before the return: with what is ready, or with a ConnectError,
 * after which nothing is left open. `times` is filled in as the stages end. Sets no deadline of its own.
 */
export type Dialler = (
  target: ConnectTarget,
  guard: ConnectGuard,
  times: ConnectTimes,
  callback: (error: ConnectError | null, dialled: Dialled | null) => void,
) => Dial;

/** How TLS is spoken with the destination, whatever lies below. */
export function tlsOptions(target: ConnectTarget, guard: ConnectGuard): ConnectionOptions {
  return {
    // No server name is sent for an IP address (RFC 6066 §3); the certificate is then matched against the address.
    servername: isIP(target.hostname) === 0 ? target.hostname : "",
    host: target.hostname,
    ALPNProtocols: ["http/1.1"],
    minVersion: "TLSv1.2",
    // Said outright, because NODE_TLS_REJECT_UNAUTHORIZED changes the default.
    rejectUnauthorized: true,
    ...(guard.certificateAuthorities === undefined ? {} : { ca: guard.certificateAuthorities }),
    ...(target.certificate === undefined ? {} : { cert: target.certificate.certificate, key: target.certificate.key }),
  };
}

/** Each call answers with the milliseconds since the one before. */
export function stopwatch(): () => number {
  let lastMs = performance.now();
  return () => {
    const sinceMs = performance.now() - lastMs;
    lastMs += sinceMs;
    return sinceMs;
  };
}

/** Destroys the socket; resolves when it is closed. */
export function closeSocket(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.destroy();
  });
}
