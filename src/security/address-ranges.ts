/**
 * Which IP addresses are public. Everything that the IANA special-purpose registries (RFC 6890 and successors) do
 * not call globally reachable is refused by default; ranges in NEVER stay refused whatever the operator opens.
 */
import { BlockList, isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** IPv4 that is not public: the special-purpose registry, and ranges whose routing depends on where one stands. */
const NON_PUBLIC_IPV4 = [
  "0.0.0.0/8", // this network (RFC 791)
  "10.0.0.0/8", // private (RFC 1918)
  "100.64.0.0/10", // carrier-grade NAT (RFC 6598)
  "127.0.0.0/8", // loopback (RFC 1122)
  "169.254.0.0/16", // link-local (RFC 3927)
  "172.16.0.0/12", // private (RFC 1918)
  "192.0.0.0/24", // IETF protocol assignments (RFC 6890)
  "192.0.2.0/24", // TEST-NET-1 (RFC 5737)
  "192.31.196.0/24", // AS112 (RFC 7535)
  "192.52.193.0/24", // AMT (RFC 7450)
  "192.88.99.0/24", // 6to4 relay anycast, deprecated (RFC 7526)
  "192.168.0.0/16", // private (RFC 1918)
  "192.175.48.0/24", // AS112 (RFC 7534)
  "198.18.0.0/15", // benchmarking (RFC 2544)
  "198.51.100.0/24", // TEST-NET-2 (RFC 5737)
  "203.0.113.0/24", // TEST-NET-3 (RFC 5737)
  "224.0.0.0/4", // multicast (RFC 5771)
  "240.0.0.0/4", // reserved (RFC 1112), with the limited broadcast address
];

/** The only IPv6 space that is handed out for global unicast (RFC 4291); all else is refused by default. */
const GLOBAL_IPV6 = ["2000::/3"];

/** Exceptions inside 2000::/3. */
const NON_PUBLIC_IPV6 = [
  "2001::/23", // IETF protocol assignments (RFC 2928): Teredo, benchmarking, ORCHID
  "2001:db8::/32", // documentation (RFC 3849)
  "2002::/16", // 6to4 (RFC 3056)
  "2620:4f:8000::/48", // AS112 (RFC 7534)
  "3fff::/20", // documentation (RFC 9637)
];

/** Never reachable: link-local, cloud metadata outside it, group and unspecified addresses. */
const NEVER_IPV4 = [
  "0.0.0.0/8", // reaches the local host on common systems
  "169.254.0.0/16", // link-local: metadata of AWS, Google, Azure, Oracle, DigitalOcean, ECS tasks
  "100.100.100.200/32", // Alibaba Cloud metadata
  "168.63.129.16/32", // Azure host agent, in public space
  "192.0.0.192/32", // Oracle Cloud metadata
  "224.0.0.0/4",
  "255.255.255.255/32",
];
const NEVER_IPV6 = [
  "fe80::/10", // link-local
  "fec0::/10", // site-local, deprecated (RFC 3879)
  "ff00::/8", // multicast
  "fd00:ec2::/32", // AWS metadata, DNS and time
  "fd20:ce::254/128", // Google Cloud metadata
  "fd00:42::42/128", // Scaleway metadata
  // Tunnels whose far end the address itself chooses; the inner IPv4 address would go unchecked.
  "::/96", // IPv4-compatible, deprecated (RFC 4291), with the unspecified address; ::1 alone is another matter
  "::ffff:0:0:0/96", // IPv4-translated (RFC 2765)
  "64:ff9b:1::/48", // local-use NAT64 (RFC 8215)
  "2001::/32", // Teredo (RFC 4380)
  "2002::/16", // 6to4
];

/** Forms that may be opened, whose last 32 bits are an IPv4 address that must be allowed as well. */
const EMBEDDING_IPV6 = [
  "::ffff:0:0/96", // IPv4-mapped (RFC 4291)
  "64:ff9b::/96", // NAT64 (RFC 6052)
];

const LOOPBACK_IPV6 = ["::1/128"];

/** A set of CIDR ranges, IPv4 and IPv6 apart: an IPv4-mapped IPv6 address matches no IPv4 range here. */
export interface AddressRanges {
  /** True when at least one range is held. */
  readonly some: boolean;
  has(address: string, family: 4 | 6): boolean;
}

/**
 * Builds a set from CIDR texts (`10.0.0.0/8`; a bare address is itself alone).
 * Throws RangeError naming the first text that is no CIDR range.
 */
export function addressRangesOf(cidrs: readonly string[]): AddressRanges {
  const ipv4 = new BlockList();
  const ipv6 = new BlockList();
  for (const cidr of cidrs) {
    const { address, family, bits } = parseCidr(cidr);
    if (family === 4) ipv4.addSubnet(address, bits, "ipv4");
    else ipv6.addSubnet(address, bits, "ipv6");
  }
  return {
    some: cidrs.length > 0,
    has: (address, family) => (family === 4 ? ipv4.check(address, "ipv4") : ipv6.check(address, "ipv6")),
  };
}

function parseCidr(cidr: string): { address: string; family: number; bits: number } {
  const [address = "", prefix, ...rest] = cidr.split("/");
  const family = isIP(address);
  const bitsMax = family === 4 ? 32 : 128;
  const bits = prefix === undefined ? bitsMax : Number(prefix);
  const prefixValid = prefix === undefined || (/^\d{1,3}$/.test(prefix) && bits <= bitsMax);
  if (family === 0 || address.includes("%") || rest.length > 0 || !prefixValid) {
    throw new RangeError(`"${cidr}" is not a CIDR range such as 10.0.0.0/8`);
  }
  return { address, family, bits };
}

const nonPublicIpv4 = addressRangesOf(NON_PUBLIC_IPV4);
const globalIpv6 = addressRangesOf(GLOBAL_IPV6);
const nonPublicIpv6 = addressRangesOf(NON_PUBLIC_IPV6);
const never = addressRangesOf([...NEVER_IPV4, ...NEVER_IPV6]);
const loopbackIpv6 = addressRangesOf(LOOPBACK_IPV6);
const embedding = addressRangesOf(EMBEDDING_IPV6);

/**
 * Whether an address may be reached: public, or in `opened` and not in a range that nothing opens. `address` is
 * the canonical text of an IP address as resolvers and sockets give it; anything else is refused.
 */
export function isReachableAddress(address: string, opened: AddressRanges): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes("%")) return false;
  if (family === 4) {
    if (never.has(address, 4)) return false;
    return !nonPublicIpv4.has(address, 4) || opened.has(address, 4);
  }
  const bytes = ipaddr.IPv6.parse(address).toByteArray();
  if ((never.has(address, 6) && !loopbackIpv6.has(address, 6)) || isIsatap(bytes)) return false;
  if (embedding.has(address, 6)) {
    return opened.has(address, 6) && isReachableAddress(bytes.slice(12).join("."), opened);
  }
  const isPublic = globalIpv6.has(address, 6) && !nonPublicIpv6.has(address, 6);
  return isPublic || opened.has(address, 6);
}

/** The address in one spelling, IPv4-mapped IPv6 as the IPv4 address that a socket reaches by it; null if none. */
export function canonicalAddress(address: string): string | null {
  if (isIP(address) === 0) return null;
  return ipaddr.process(address.replace(/%.*$/, "")).toString();
}

/** An ISATAP interface id (RFC 5214 §6.1) below any prefix: one more tunnel whose far end is the IPv4 address behind it. */
function isIsatap(bytes: readonly number[]): boolean {
  const [flags = 0, ...rest] = bytes.slice(8, 12);
  return (flags & 0xfc) === 0 && rest[0] === 0x00 && rest[1] === 0x5e && rest[2] === 0xfe;
}
