/**
 * The connections of the port: how many there may be in all, of one peer, and of those that have said nothing; and
 * which has to go when a newcomer needs the place.
 */
import type { BlockList, Socket } from "node:net";
import ipaddr from "ipaddr.js";
import { type Idle, IdleList } from "./idle-list.ts";

/** Bytes of an address by which a peer is known: all of IPv4, and of IPv6 the network that one client is given. */
const PEER_BYTES = 8;

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerPeerMax: number;
  readonly silentConnectionsMax: number;
  readonly prefaceTimeoutMs: number;
}

/** One accepted connection; `socket` is the one that the kernel gave, below TLS. */
export interface Connection extends Idle {
  readonly socket: Socket;
  readonly sinceMs: number;
  /** Requests under way: answers of HTTP/1, streams of HTTP/2. */
  exchanges: number;
}

export class Connections {
  readonly #limits: ConnectionLimits;
  /** Peers that speak for many, so that no count holds for them. */
  readonly #trustedPeers: BlockList | undefined;
  readonly #all = new Set<Connection>();
  /** In the order in which they were accepted. */
  readonly #silent = new Set<Connection>();
  /** Without a request under way, silent ones included, the longest idle first. */
  readonly #idle = new IdleList<Connection>();
  readonly #perPeer = new Map<string, number>();

  constructor(limits: ConnectionLimits, trustedPeers?: BlockList) {
    this.#limits = limits;
    this.#trustedPeers = trustedPeers;
  }

  get size(): number {
    return this.#all.size;
  }

  get silent(): number {
    return this.#silent.size;
  }

  /** Takes a connection in, if need be in place of another; undefined if it was refused and destroyed. */
  admit(socket: Socket): Connection | undefined {
    const peer = this.#peerOf(socket);
    if (socket.destroyed || !this.#hasRoom(peer)) {
      socket.destroy();
      return undefined;
    }
    const place = { before: undefined, after: undefined };
    const connection: Connection = { socket, sinceMs: performance.now(), exchanges: 0, ...place };
    for (const set of [this.#all, this.#silent, this.#idle]) set.add(connection);
    if (peer !== undefined) this.#perPeer.set(peer, this.#countOf(peer) + 1);
    socket.once("close", () => this.#forget(connection, peer));
    if (this.#silent.size > this.#limits.silentConnectionsMax) destroyFirst(this.#silent);
    return connection;
  }

  /** The connection has said which protocol it speaks. */
  hear(connection: Connection): void {
    if (this.#silent.delete(connection)) this.#moveToEnd(connection);
  }

  /** A request has begun; it ends with `endExchange`. */
  beginExchange(connection: Connection): void {
    connection.exchanges += 1;
    this.#idle.delete(connection);
  }

  endExchange(connection: Connection): void {
    connection.exchanges -= 1;
    if (connection.exchanges === 0 && this.#all.has(connection)) this.#idle.add(connection);
  }

  /** Closes those that have kept silent for too long. */
  sweep(nowMs: number): void {
    for (const { socket, sinceMs } of this.#silent) {
      if (nowMs - sinceMs < this.#limits.prefaceTimeoutMs) return;
      socket.destroy();
    }
  }

  destroySilent(): void {
    for (const { socket } of this.#silent) socket.destroy();
  }

  destroyAll(): void {
    for (const { socket } of this.#all) socket.destroy();
  }

  #hasRoom(peer: string | undefined): boolean {
    if (peer !== undefined && this.#countOf(peer) >= this.#limits.connectionsPerPeerMax) return false;
    return this.#all.size < this.#limits.connectionsMax || destroyFirst(this.#idle);
  }

  #forget(connection: Connection, peer: string | undefined): void {
    for (const set of [this.#all, this.#silent, this.#idle]) set.delete(connection);
    if (peer === undefined) return;
    const left = this.#countOf(peer) - 1;
    if (left > 0) this.#perPeer.set(peer, left);
    else this.#perPeer.delete(peer);
  }

  #countOf(peer: string): number {
    return this.#perPeer.get(peer) ?? 0;
  }

  #moveToEnd(connection: Connection): void {
    if (this.#idle.delete(connection)) this.#idle.add(connection);
  }

  /** What a peer is counted by: its IPv4 address, or the network of its IPv6 address; undefined for a trusted one. */
  #peerOf({ remoteAddress }: Socket): string | undefined {
    // The peer of a connection that is already gone has none.
    if (remoteAddress === undefined) return "";
    const address = ipaddr.process(remoteAddress);
    if (this.#trustedPeers?.check(address.toString(), address.kind())) return undefined;
    return address.toByteArray().slice(0, PEER_BYTES).join(".");
  }
}

/** Destroys the first; false if there is none. It leaves the set at once, so that the next call takes another. */
function destroyFirst(connections: Iterable<Connection> & { delete(connection: Connection): boolean }): boolean {
  for (const connection of connections) {
    connections.delete(connection);
    connection.socket.destroy();
    return true;
  }
  return false;
}
