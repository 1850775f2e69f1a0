/** What a destination's URL may be, judged when it is set and again before each attempt. No DNS. */
import { isIP } from "node:net";
import { type DestinationPolicy, isAllowedAddress, isForbiddenName, LOOPBACK_ADDRESSES } from "./destination-policy.ts";

/** Longest URL, characters, as given and as normalized. */
export const URL_CHARACTERS_MAX = 2_048;

/** Why a URL was refused. Those in BLOCKED_RULES depend on the policy, the others on the text alone. */
export const URL_RULES = [
  "url.length",
  "url.invalid",
  "url.scheme",
  "url.userinfo",
  "url.fragment",
  "url.host",
  "url.port",
  "url.reserved_name",
  "url.private_address",
] as const;
export type UrlRule = (typeof URL_RULES)[number];

/** Rules that mean "a place deliveries may not reach" rather than "not a usable URL". */
export const BLOCKED_RULES: ReadonlySet<UrlRule> = new Set(["url.reserved_name", "url.private_address"]);

/** `message` is for the caller and complete after the field's name ("must …"). */
export type UrlCheck =
  | { readonly ok: true; readonly url: URL }
  | { readonly ok: false; readonly rule: UrlRule; readonly message: string };

/** Suffixes that the public DNS never answers; no setting makes them destinations. */
const UNREACHABLE_SUFFIXES = [
  "alt", // RFC 9476
  "example", // RFC 2606
  "invalid", // RFC 6761
  "onion", // RFC 7686
  "arpa", // infrastructure (RFC 3172); home.arpa is a private suffix, judged before
  "metadata.google.internal",
];

/** Suffixes of private networks: destinations only where the operator has opened some private range. */
const PRIVATE_SUFFIXES = [
  "home.arpa", // RFC 8375
  "internal", // ICANN, 2024
  "local", // RFC 6762
  "test", // RFC 6761
  ...["corp", "home", "intranet", "lan", "localdomain", "private"], // RFC 6762 appendix G
  "mail", // never to be delegated, like corp and home (ICANN, 2018)
];

/**
 * Checks a destination's URL without DNS: http or https, no userinfo, no fragment, at most URL_CHARACTERS_MAX
 * characters, a public host. IP addresses in any spelling are judged as what they mean (the WHATWG parser
 * normalizes decimal, octal, hexadecimal and short IPv4, full-width digits and IPv6). The URL it answers with has
 * a host without the trailing dot of a fully qualified name.
 */
export function checkDestinationUrl(text: string, policy: DestinationPolicy): UrlCheck {
  if (text.length > URL_CHARACTERS_MAX) return refuse("url.length", `must be at most ${URL_CHARACTERS_MAX} characters`);
  // The parser drops tabs, newlines and surrounding blanks: what people read would not be what is fetched.
  if (/[\p{Cc}\p{Z}]/u.test(text)) return refuse("url.invalid", "must be a URL without spaces or control characters");
  const url = URL.parse(text);
  if (url === null) return refuse("url.invalid", "must be an absolute URL such as https://example.com/hooks");
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return refuse("url.scheme", "must be an http or https URL");
  if (!/^https?:\/\/[^/\\]/i.test(text)) return refuse("url.invalid", "must have a host after http:// or https://");
  if (url.username !== "" || url.password !== "" || hasUserinfo(text)) {
    return refuse("url.userinfo", "must not contain a user name or password");
  }
  if (text.includes("#")) return refuse("url.fragment", "must not contain a fragment (#…)");
  if (url.href.length > URL_CHARACTERS_MAX) {
    return refuse("url.length", `must be at most ${URL_CHARACTERS_MAX} characters once encoded`);
  }
  if (url.port === "0") return refuse("url.port", "must not use port 0");
  if (url.hostname.endsWith(".")) url.hostname = url.hostname.slice(0, -1);
  return checkHost(url, policy);
}

/** The host of a URL as sockets take it: IPv6 without its brackets. */
export function hostnameOf(url: URL): string {
  return url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
}

/** The port of an http or https URL, the scheme's default included. */
export function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

/** Whether a name is `localhost` or below it, which stand for loopback without DNS (RFC 6761 §6.3). */
export function isLocalhostName(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost");
}

function checkHost(url: URL, policy: DestinationPolicy): UrlCheck {
  const hostname = hostnameOf(url);
  const port = portOf(url);
  if (isIP(hostname) !== 0) {
    return isAllowedAddress(hostname, port, policy) ? { ok: true, url } : refusePrivate();
  }
  if (!isHostName(hostname)) return refuse("url.host", "must have a valid host name");
  if (isReservedName(hostname, policy)) {
    return refuse("url.reserved_name", "must have a public host name, not a local or reserved one");
  }
  const isOwn = isLocalhostName(hostname)
    ? !LOOPBACK_ADDRESSES.some(({ address }) => isAllowedAddress(address, port, policy))
    : isForbiddenName(hostname, port, policy);
  return isOwn ? refusePrivate() : { ok: true, url };
}

function isReservedName(hostname: string, policy: DestinationPolicy): boolean {
  if (isLocalhostName(hostname)) return !policy.loopbackOpened;
  if (isUnder(hostname, PRIVATE_SUFFIXES) && !isUnder(hostname, ["metadata.google.internal"])) {
    return !policy.opened.some;
  }
  if (isUnder(hostname, UNREACHABLE_SUFFIXES)) return true;
  return !hostname.includes(".") && !policy.opened.some;
}

function isUnder(hostname: string, suffixes: readonly string[]): boolean {
  return suffixes.some((suffix) => hostname === suffix || hostname.endsWith(`.${suffix}`));
}

/** RFC 1123 host name; underscores, which some real hosts have, are let through. */
function isHostName(hostname: string): boolean {
  if (hostname.length > 253) return false;
  return hostname.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
}

/** An "@" in the authority, which the parser forgets when name and password are empty. */
function hasUserinfo(text: string): boolean {
  return /^https?:\/\/[^/\\?#]*@/i.test(text);
}

function refuse(rule: UrlRule, message: string): UrlCheck {
  return { ok: false, rule, message };
}

function refusePrivate(): UrlCheck {
  return refuse("url.private_address", "must have a public address");
}
