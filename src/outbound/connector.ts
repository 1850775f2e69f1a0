/**
 * Opens one socket to a destination under the SSRF guard: resolve, judge every address, connect to one of those,
 * judge the peer's address again, and for https verify the certificate against the host name. Nothing here reads
 * the proxy environment variables.
 */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  BlockedAddressError,
  type DestinationPolicy,
  guardedLookup,
  isAllowedAddress,
  ResolveError,
  type Resolver,
} from "../security/ssrf.ts";

/** How long one of several addresses of a name is tried before the next is tried too, milliseconds (RFC 8305 §5). */
const ADDRESS_ATTEMPT_MS = 1_000;
/** Idle time after which the kernel probes an open connection, milliseconds. */
const TCP_KEEP_ALIVE_MS = 60_000;

/** Where a connection failed. */
export type ConnectStage = "blocked_address" | "dns" | "connect" | "tls";

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

/** What a connection is made under. */
export interface ConnectGuard {
  readonly policy: DestinationPolicy;
  readonly resolver: Resolver;
  /** PEM certificates trusted instead of the system's; undefined: the system's. */
  readonly certificateAuthorities: string | undefined;
}

/** A destination's own coordinates; `hostname` without brackets. */
export interface ConnectTarget {
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
}

/** How long each stage of a connection took, milliseconds; null: it did not take place, or did not end. */
export interface ConnectTimes {
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
}

export const NO_CONNECT: Readonly<ConnectTimes> = Object.freeze({ dnsMs: null, connectMs: null, tlsMs: null });

/**
 * Starts a connection. `callback` is called once: with the socket when it is ready for a request, or with a
 * ConnectError, after which the socket is destroyed. Returns the socket under way so that it can be given up at
 * any time, or null where an IP literal is refused before any socket is made. Sets no deadline of its own. `times` is
 * filled in as the stages end.
 */
export function openConnection(
  target: ConnectTarget,
  guard: ConnectGuard,
  times: ConnectTimes,
  callback: (error: ConnectError | null, socket: Socket | null) => void,
): Socket | null {
  const { hostname, port } = target;
  if (isIP(hostname) !== 0 && !isAllowedAddress(hostname, port, guard.policy)) {
    process.nextTick(callback, new ConnectError("blocked_address", new BlockedAddressError()), null);
    return null;
  }
  const lap = stopwatch();
  const socket = startSocket(target, guard, () => {
    times.dnsMs = lap();
  });
  let connected = false;
  let settled = false;
  const fail = (error: unknown) => {
    if (settled) return;
    settled = true;
    callback(new ConnectError(stageOf(error, target.secure && (connected || isReset(error))), error), null);
  };
  socket.on("error", fail);
  socket.once("close", () => fail(new Error("closed before it was ready")));
  socket.once("connect", () => {
    connected = true;
    times.connectMs = lap();
    // The socket was handed judged addresses only: this holds even if a runtime changes how it uses them.
    const peer = socket.remoteAddress;
    if (peer === undefined) socket.destroy(Object.assign(new Error("the peer is gone"), { code: "ECONNRESET" }));
    else if (!isAllowedAddress(peer, port, guard.policy)) socket.destroy(new BlockedAddressError());
  });
  socket.once(target.secure ? "secureConnect" : "connect", () => {
    if (settled || socket.destroyed) return;
    settled = true;
    if (target.secure) times.tlsMs = lap();
    callback(null, socket);
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
  return socket;
}

function startSocket(target: ConnectTarget, guard: ConnectGuard, onResolved: () => void): Socket {
  const options = {
    host: target.hostname,
    port: target.port,
    lookup: timedLookup(target, guard, onResolved),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
  };
  if (!target.secure) return connectTcp(options);
  return connectTls({
    ...options,
    // No server name is sent for an IP address (RFC 6066 §3); the certificate is then matched against the address.
    servername: isIP(target.hostname) === 0 ? target.hostname : "",
    ALPNProtocols: ["http/1.1"],
    minVersion: "TLSv1.2",
    // Said outright, because NODE_TLS_REJECT_UNAUTHORIZED changes the default.
    rejectUnauthorized: true,
    ...(guard.certificateAuthorities === undefined ? {} : { ca: guard.certificateAuthorities }),
  });
}

function timedLookup(
  { port }: ConnectTarget,
  { policy, resolver }: ConnectGuard,
  onResolved: () => void,
): LookupFunction {
  const lookup = guardedLookup(policy, port, resolver);
  return (hostname, options, callback) =>
    lookup(hostname, options, (...answer) => {
      onResolved();
      callback(...answer);
    });
}

/** Each call answers with the milliseconds since the one before. */
function stopwatch(): () => number {
  let lastMs = performance.now();
  return () => {
    const sinceMs = performance.now() - lastMs;
    lastMs += sinceMs;
    return sinceMs;
  };
}

function stageOf(error: unknown, inHandshake: boolean): ConnectStage {
  if (error instanceof BlockedAddressError) return "blocked_address";
  if (error instanceof ResolveError) return "dns";
  return inHandshake ? "tls" : "connect";
}

/** A reset at once after the peer accepted may be seen before the connection counts as made; it is no refusal. */
function isReset(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ECONNRESET";
}
