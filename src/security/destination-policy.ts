/** What deliveries may reach: the operator's opened ranges, and our own endpoints that nothing opens. */
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { type AddressRanges, addressRangesOf, canonicalAddress, isReachableAddress } from "./address-ranges.ts";

/** A listener that deliveries must not reach. `address` is an IP address, a wildcard (`0.0.0.0`, `::`) or a name. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Built once at start-up by `createDestinationPolicy`. */
export interface DestinationPolicy {
  readonly opened: AddressRanges;
  /** Some loopback address is opened, so that `localhost` is a destination like others. */
  readonly loopbackOpened: boolean;
  /** Asked at every check, so that endpoints known only after start-up (the listener, the database) count. */
  readonly forbiddenEndpoints: () => readonly Endpoint[];
}

/** Loopback addresses that `localhost` stands for (RFC 6761 §6.3), in the order they are tried. */
export const LOOPBACK_ADDRESSES = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
] as const;

/**
 * Builds the policy from `ALLOWED_PRIVATE_CIDRS`. Throws RangeError on a text that is no CIDR range.
 */
export function createDestinationPolicy(options: {
  readonly allowedPrivateCidrs: readonly string[];
  readonly forbiddenEndpoints?: () => readonly Endpoint[];
}): DestinationPolicy {
  const opened = addressRangesOf(options.allowedPrivateCidrs);
  return Object.freeze({
    opened,
    loopbackOpened: LOOPBACK_ADDRESSES.some(({ address, family }) => opened.has(address, family)),
    forbiddenEndpoints: options.forbiddenEndpoints ?? (() => []),
  });
}

/**
 * Whether a connection to `address` (canonical IP text) at `port` is allowed: public or opened, and not one of
 * our own endpoints. Not an IP address: false.
 */
export function isAllowedAddress(address: string, port: number, policy: DestinationPolicy): boolean {
  if (!isReachableAddress(address, policy.opened)) return false;
  const canonical = canonicalAddress(address);
  return canonical !== null && !policy.forbiddenEndpoints().some((own) => isEndpoint(own, canonical, port));
}

/** Whether a destination's name and port are those of one of our own endpoints that is known by a name. */
export function isForbiddenName(hostname: string, port: number, policy: DestinationPolicy): boolean {
  const name = hostname.toLowerCase();
  return policy.forbiddenEndpoints().some((own) => own.port === port && own.address.toLowerCase() === name);
}

function isEndpoint(own: Endpoint, address: string, port: number): boolean {
  if (own.port !== port) return false;
  if (isIP(own.address) === 0) return own.address.toLowerCase() === "localhost" && isLoopback(address);
  const ownAddress = canonicalAddress(own.address);
  if (ownAddress === "0.0.0.0" || ownAddress === "::") return isLocalAddress(address);
  return ownAddress === address;
}

/** Whether this machine answers at the address: all of 127/8, ::1, and every interface's own addresses. */
function isLocalAddress(address: string): boolean {
  if (isLoopback(address)) return true;
  for (const entries of Object.values(networkInterfaces())) {
    for (const entry of entries ?? []) if (canonicalAddress(entry.address) === address) return true;
  }
  return false;
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^127\./.test(address);
}
