/**
 * The guard against server-side request forgery. A URL is judged when it is set (`checkDestinationUrl`, no DNS);
 * an address is judged when a socket connects (`guardedLookup`, `isAllowedAddress`), on the very addresses that
 * the socket is handed, so that a name that resolves differently the second time (DNS rebinding) gains nothing.
 */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { type DestinationPolicy, isAllowedAddress, isForbiddenName, LOOPBACK_ADDRESSES } from "./destination-policy.ts";
import { isLocalhostName } from "./url-policy.ts";

export {
  createDestinationPolicy,
  type DestinationPolicy,
  type Endpoint,
  isAllowedAddress,
} from "./destination-policy.ts";
export { checkDestinationUrl, type UrlCheck, type UrlRule } from "./url-policy.ts";

/** Most addresses of one name that a socket is handed, and checked; a name with more is refused. */
export const ADDRESSES_MAX = 64;

/** Resolves a name to all of its addresses; `dns.lookup` with `all: true`, or a test's own. */
export type Resolver = (
  hostname: string,
  options: { readonly all: true; readonly hints?: number },
  callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void;

/** A destination that policy refuses. Its message names no address: what an inner name resolves to is no one's business. */
export class BlockedAddressError extends Error {
  override readonly name = "BlockedAddressError";
  readonly code = "ERR_BLOCKED_ADDRESS";

  constructor() {
    super("the destination has an address that deliveries may not reach");
  }
}

/** A name that did not resolve. `cause` is the resolver's own error. */
export class ResolveError extends Error {
  override readonly name = "ResolveError";
  readonly code = "ERR_RESOLVE";

  constructor(cause?: unknown) {
    super("the destination's name does not resolve", { cause });
  }
}

/** The operating system's resolver, which reads the hosts file too. */
export const systemResolver: Resolver = (hostname, options, callback) => systemLookup(hostname, options, callback);

/**
 * A `lookup` for `net.connect` and `tls.connect` to `port`: resolves, refuses with BlockedAddressError if any
 * address is not allowed, and hands over exactly the addresses it judged. Fails with ResolveError if none is
 * found. `localhost` stands for the opened loopback addresses, without DNS. Node does not call a lookup for IP
 * literals: check those with `isAllowedAddress`.
 */
export function guardedLookup(policy: DestinationPolicy, port: number, resolver: Resolver): LookupFunction {
  return (hostname, options, callback) => {
    const answer = (addresses: readonly LookupAddress[]) => {
      const [first] = addresses;
      if (first === undefined) callback(new ResolveError(), []);
      else if (options.all) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    };
    if (isLocalhostName(hostname)) {
      const allowed = LOOPBACK_ADDRESSES.filter(({ address }) => isAllowedAddress(address, port, policy));
      // Like a resolver, never before the caller has the socket in hand.
      process.nextTick(() => (allowed.length === 0 ? callback(new BlockedAddressError(), []) : answer(allowed)));
      return;
    }
    resolver(hostname, { all: true, hints: options.hints ?? 0 }, (error, addresses) => {
      if (error) callback(new ResolveError(error), []);
      else if (isBlocked(hostname, addresses, port, policy)) callback(new BlockedAddressError(), []);
      else answer(addresses);
    });
  };
}

function isBlocked(hostname: string, addresses: readonly LookupAddress[], port: number, policy: DestinationPolicy) {
  if (isForbiddenName(hostname, port, policy) || addresses.length > ADDRESSES_MAX) return true;
  return addresses.some(({ address }) => !isAllowedAddress(address, port, policy));
}
