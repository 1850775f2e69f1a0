/**
 * Where a request comes from, and whom the caps count. Behind trusted proxies the client's address is read from X-Forwarded-For, from right to
 * left, because each proxy appends the peer that it saw and everything to the left of the first untrusted one is what
 * a client claims. `Forwarded` (RFC 7239) is not read: a proxy that writes one of the two passes on whatever a client
 * wrote in the other.
 */
import { type BlockList, isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { canonicalAddress } from "../security/address-ranges.ts";
import type { RequestHead } from "./exchange.ts";

/** An address with a port, in either family's form. */
const WITH_PORT = /^(?:\[(?<ipv6>[^\]]*)\](?::\d{1,5})?|(?<ipv4>[\d.]+):\d{1,5})$/;

/** The client's address in its canonical spelling; "" where the connection is gone already. */
export function addressOf(request: RequestHead, trustedProxies: BlockList): string {
  let address = plainAddress(request.socket.remoteAddress ?? "");
  if (address === undefined) return "";
  const hops = hopsOf(request.headers["x-forwarded-for"]);
  while (hops.length > 0 && isTrusted(address, trustedProxies)) {
    const next = plainAddress(addressIn(hops.pop() ?? ""));
    // Garbage: the proxy that wrote it is the last who is known.
    if (next === undefined) break;
    address = next;
  }
  return address;
}

/** The client as the caps count it: an IPv4 address, or the /64 network that one IPv6 host can pick its addresses from. */
export const clientOf = (address: string): string => (isIP(address) === 6 ? `${networkOf(address)}::/64` : address);

/** Whether this is the address of a peer whose X-Forwarded-* count. */
export function isTrusted(address: string | undefined, trustedProxies: BlockList): boolean {
  const plain = plainAddress(address ?? "");
  return plain !== undefined && trustedProxies.check(plain, isIP(plain) === 4 ? "ipv4" : "ipv6");
}

const hopsOf = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : String(value).split(",");

function addressIn(hop: string): string {
  const text = hop.trim();
  const { ipv6, ipv4 } = WITH_PORT.exec(text)?.groups ?? {};
  return ipv6 ?? ipv4 ?? text;
}

/** In one spelling, IPv4-mapped as IPv4; undefined if it is no address. */
function plainAddress(text: string): string | undefined {
  return isIP(text) === 4 ? text : (canonicalAddress(text) ?? undefined);
}

function networkOf(address: string): string {
  const groups = ipaddr.IPv6.parse(address).parts.slice(0, 4);
  return groups.map((group) => group.toString(16)).join(":");
}
