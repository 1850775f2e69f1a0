/** The spellings of a URL of which any may be the one that a sender signed. */
import type { HmacScheme } from "./scheme.ts";

/** Undefined stays: the URL is not known. */
export function urlSpellings(
  how: NonNullable<HmacScheme["urls"]>,
  url: string | undefined,
): readonly (string | undefined)[] {
  if (url === undefined || how === "exact") return [url];
  if (how === "with-port") return [...new Set([withoutPort(url), withPort(url)])];
  return url.includes("%") ? [...new Set([url, decodedForHubspot(url)])] : [url];
}

/** Scheme, authority without its port, port, and the rest. */
const PARTS = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*?)(:\d*)?((?:[/?#].*)?)$/is;

function withoutPort(url: string): string {
  const [, scheme, authority, , rest] = PARTS.exec(url) ?? [];
  return scheme === undefined ? url : `${scheme}${authority}${rest}`;
}

function withPort(url: string): string {
  const [, scheme, authority, port, rest] = PARTS.exec(url) ?? [];
  if (scheme === undefined || port) return url;
  return `${scheme}${authority}:${scheme.toLowerCase() === "https://" ? 443 : 80}${rest}`;
}

/** The escapes that HubSpot undoes before it signs (developers.hubspot.com, "Validating requests", v3). */
const HUBSPOT_ESCAPES = /%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi;

function decodedForHubspot(url: string): string {
  return url.replaceAll(HUBSPOT_ESCAPES, (escaped) => decodeURIComponent(escaped));
}
