/**
 * Opens one socket to a destination under the SSRF guard: resolve, judge every address, connect to one of those,
 * judge the peer's address again, and for https verify the certificate against the host name. Nothing here reads
 * the proxy environment variables.
 */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { BlockedAddressError, guardedLookup, isAllowedAddress, ResolveError } from "../security/ssrf.ts";
import {
  ConnectError,
  type ConnectGuard,
  type ConnectStage,
  type ConnectTarget,
  closeSocket,
  type Dialler,
  stopwatch,
  TCP_KEEP_ALIVE_MS,
  tlsOptions,
} from "./dial.ts";

/** How long one of several addresses of a name is tried before the next is tried too, milliseconds (RFC 8305 §5). */
const ADDRESS_ATTEMPT_MS = 1_000;

/** Connects straight to the destination. */
export const dialDirectly: Dialler = (target, guard, times, callback) => {
  const { hostname, port } = target;
  if (isIP(hostname) !== 0 && !isAllowedAddress(hostname, port, guard.policy)) {
    process.nextTick(callback, new ConnectError("blocked_address", new BlockedAddressError()), null);
    return { waitsForProxy: false, abandon: () => Promise.resolve() };
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
    callback(null, { socket, remoteAddress: socket.remoteAddress ?? null });
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
  return { waitsForProxy: false, abandon: () => closeSocket(socket) };
};

function startSocket(target: ConnectTarget, guard: ConnectGuard, onResolved: () => void): Socket {
  const options = {
    host: target.hostname,
    port: target.port,
    lookup: timedLookup(target, guard, onResolved),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
  };
  return target.secure ? connectTls({ ...options, ...tlsOptions(target, guard) }) : connectTcp(options);
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

/** Which stage an error of a connection belongs to. */
export function stageOf(error: unknown, inHandshake: boolean): ConnectStage {
  if (error instanceof BlockedAddressError) return "blocked_address";
  if (error instanceof ResolveError) return "dns";
  return inHandshake ? "tls" : "connect";
}

/** A reset at once after the peer accepted may be seen before the connection counts as made; it is no refusal. */
function isReset(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ECONNRESET";
}
