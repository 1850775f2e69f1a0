/**
 * The pool of outbound connections: bounded for each origin and in total, kept alive and reused (latest first).
 * The guard judges a connection when it is made; a reused one was judged then. Connections with a client certificate
 * are shared by nobody without it. No redirects, no proxies but the one that is configured, no decompression, no
 * pipelining: an exchange has a connection to itself.
 *
 * Who asks while the bounds are reached waits, first come first served, in a queue that is bounded too; an idle
 * connection of another origin is closed to make room.
 */
import type { DestinationPolicy, Resolver } from "../security/ssrf.ts";
import { systemResolver } from "../security/ssrf.ts";
import { Connection, type ConnectionLimits, keyOf, type Peer } from "./connection.ts";
import type { ConnectGuard, EgressProxy } from "./dial.ts";

/** Bounds of the client. */
export interface HttpClientLimits extends ConnectionLimits {
  /** Open connections, connecting, busy and idle. */
  readonly connectionsMax: number;
  readonly connectionsPerOriginMax: number;
  /** Attempts waiting for a connection. */
  readonly waitersMax: number;
}

export const HTTP_CLIENT_LIMITS: HttpClientLimits = Object.freeze({
  connectionsMax: 2_000,
  connectionsPerOriginMax: 64,
  waitersMax: 2_000,
  headerBytesMax: 16 * 1024,
  exchangeBytesMax: 1024 * 1024,
  // Below the 5 s after which common servers close, so that a request rarely meets a closing connection.
  keepAliveMs: 4_000,
  keepAliveMsMax: 30_000,
});

export interface HttpClientOptions {
  readonly policy: DestinationPolicy;
  /** Default: the operating system's. */
  readonly resolver?: Resolver;
  /** PEM certificates trusted instead of the system's. Default: the system's. */
  readonly certificateAuthorities?: string;
  /** Default: none. */
  readonly proxy?: EgressProxy | undefined;
  readonly limits?: Partial<HttpClientLimits>;
}

/** No connection is to be had: the bounds are reached, or the client is closed. Not the destination's doing. */
export class ClientBusyError extends Error {
  override readonly name = "ClientBusyError";
}

interface Waiter {
  readonly peer: Peer;
  readonly take: (connection: Connection) => void;
  readonly refuse: (error: unknown) => void;
}

export class HttpClient {
  readonly policy: DestinationPolicy;
  readonly #guard: ConnectGuard;
  readonly #limits: HttpClientLimits;
  readonly #byKey = new Map<string, Set<Connection>>();
  /** In the order in which they became idle. */
  readonly #idle = new Set<Connection>();
  readonly #waiters = new Set<Waiter>();
  readonly #closing = new Set<Promise<void>>();
  #open = 0;
  #closed = false;

  constructor(options: HttpClientOptions) {
    this.policy = options.policy;
    this.#limits = { ...HTTP_CLIENT_LIMITS, ...options.limits };
    this.#guard = {
      policy: options.policy,
      resolver: options.resolver ?? systemResolver,
      certificateAuthorities: options.certificateAuthorities,
      proxy: options.proxy,
    };
  }

  /** Connections that are open (busy or idle), those of them that are idle, and attempts waiting for one. */
  get stats(): { readonly open: number; readonly idle: number; readonly waiting: number } {
    return { open: this.#open, idle: this.#idle.size, waiting: this.#waiters.size };
  }

  /**
   * A connection to the peer's origin for one exchange; `release` must follow. Rejects with ClientBusyError if the
   * queue is full or the client closed, and with the signal's reason when it aborts the wait.
   */
  acquire(peer: Peer, signal: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#closed) return reject(new ClientBusyError("the client is closed"));
      const connection = this.#take(peer);
      if (connection !== null) return resolve(connection);
      if (this.#waiters.size >= this.#limits.waitersMax) {
        return reject(new ClientBusyError("too many attempts wait for a connection"));
      }
      const settle = () => {
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        peer,
        take: (taken) => {
          settle();
          resolve(taken);
        },
        refuse: (error) => {
          settle();
          reject(error);
        },
      };
      const onAbort = () => waiter.refuse(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Gives a connection back. It is kept if `reusable` (the exchange ended whole) and its socket lives, else closed. */
  release(connection: Connection, reusable: boolean): void {
    const alive = connection.end();
    if (reusable && alive && !this.#closed) this.#idle.add(connection);
    else this.#discard(connection);
    this.#serveWaiters();
  }

  /** Closes every connection, busy ones too, and refuses who waits. Resolves when all sockets are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of [...this.#waiters]) waiter.refuse(new ClientBusyError("the client is closed"));
    for (const connections of [...this.#byKey.values()]) {
      for (const connection of [...connections]) this.#discard(connection);
    }
    await Promise.all([...this.#closing]);
  }

  #take(peer: Peer): Connection | null {
    const connections = this.#byKey.get(keyOf(peer));
    const idle = this.#latestIdle(connections);
    if (idle !== null) {
      this.#idle.delete(idle);
      idle.begin();
      return idle;
    }
    if (connections !== undefined && connections.size >= this.#limits.connectionsPerOriginMax) return null;
    if (this.#open >= this.#limits.connectionsMax && !this.#closeOldestIdle()) return null;
    return this.#openNew(peer);
  }

  #latestIdle(connections: Set<Connection> | undefined): Connection | null {
    let latest: Connection | null = null;
    for (const connection of connections ?? []) if (this.#idle.has(connection)) latest = connection;
    return latest;
  }

  #closeOldestIdle(): boolean {
    for (const connection of this.#idle) {
      this.#discard(connection);
      return true;
    }
    return false;
  }

  #openNew(peer: Peer): Connection {
    const connection = new Connection(peer, this.#guard, this.#limits, (lost) => {
      this.#discard(lost);
      this.#serveWaiters();
    });
    const connections = this.#byKey.get(connection.key) ?? new Set();
    connections.add(connection);
    this.#byKey.set(connection.key, connections);
    this.#open += 1;
    connection.begin();
    return connection;
  }

  #discard(connection: Connection): void {
    const connections = this.#byKey.get(connection.key);
    if (!connections?.delete(connection)) return;
    if (connections.size === 0) this.#byKey.delete(connection.key);
    this.#idle.delete(connection);
    this.#open -= 1;
    const closed = connection.destroy().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }

  #serveWaiters(): void {
    if (this.#closed) return;
    for (const waiter of this.#waiters) {
      const connection = this.#take(waiter.peer);
      if (connection !== null) waiter.take(connection);
    }
  }
}
