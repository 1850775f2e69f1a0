/** Whose request it is: the peer's, or of whom trusted proxies say. */
import { BlockList } from "node:net";
import { expect, test } from "vitest";
import { addressOf, clientOf } from "../../src/edge/client-address.ts";
import type { HttpRequest } from "../../src/edge/exchange.ts";

const proxies = new BlockList();
proxies.addSubnet("10.0.0.0", 8, "ipv4");
proxies.addSubnet("fd00::", 8, "ipv6");

const cases: [name: string, peer: string | undefined, forwarded: string | undefined, client: string][] = [
  ["a peer that is no proxy is the client", "203.0.113.7", undefined, "203.0.113.7"],
  ["what it claims does not count", "203.0.113.7", "198.51.100.1", "203.0.113.7"],
  ["a trusted proxy names its peer", "10.0.0.1", "198.51.100.1", "198.51.100.1"],
  ["the rightmost untrusted address counts", "10.0.0.1", "192.0.2.9, 198.51.100.1", "198.51.100.1"],
  ["proxies behind proxies", "10.0.0.1", "192.0.2.9, 198.51.100.1, 10.2.2.2,10.3.3.3", "198.51.100.1"],
  ["nobody but proxies: the farthest", "10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"],
  ["a proxy that says nothing is the client", "10.0.0.1", undefined, "10.0.0.1"],
  ["an empty list", "10.0.0.1", "", "10.0.0.1"],
  ["garbage", "10.0.0.1", "unknown", "10.0.0.1"],
  ["garbage between", "10.0.0.1", "198.51.100.1, _hidden, 10.2.2.2", "10.2.2.2"],
  ["a port", "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"],
  ["IPv6 counts by its /64", "2001:db8:1:2:3:4:5:6", undefined, "2001:db8:1:2::/64"],
  ["IPv6 in short", "2001:db8::1", undefined, "2001:db8:0:0::/64"],
  ["IPv6 in brackets", "10.0.0.1", "[2001:db8:0:2::1]", "2001:db8:0:2::/64"],
  ["IPv6 in brackets with a port", "10.0.0.1", "[2001:db8:0:2::1]:443", "2001:db8:0:2::/64"],
  ["bare IPv6 is not an address with a port", "10.0.0.1", "2001:db8:0:2::443", "2001:db8:0:2::/64"],
  ["an IPv6 proxy", "fd00::1", "198.51.100.1", "198.51.100.1"],
  ["an IPv4-mapped peer", "::ffff:203.0.113.7", undefined, "203.0.113.7"],
  ["an IPv4-mapped proxy", "::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"],
  ["IPv4-mapped in hexadecimal", "10.0.0.1", "::ffff:c633:6401", "198.51.100.1"],
  ["a link-local peer with its interface", "fe80::1%eth0", undefined, "fe80:0:0:0::/64"],
  ["a connection that is gone", undefined, "198.51.100.1", ""],
];

test.each(cases)("%s", (_name, remoteAddress, forwarded, client) => {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  expect(clientOf(addressOf({ socket: { remoteAddress }, headers } as HttpRequest, proxies))).toBe(client);
});
