/** The origin under which a caller reached us, for the URLs that we hand out. */
import type { BlockList } from "node:net";
import { isTrusted } from "./client-address.ts";
import type { RequestHead } from "./exchange.ts";

const HOST = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

export interface OriginOptions {
  /** PUBLIC_URL, which wins over everything. */
  readonly publicUrl: string | undefined;
  /** Peers whose X-Forwarded-* count. */
  readonly trustedProxies: BlockList;
  /** Where no usable Host came. */
  readonly fallbackOrigin: () => string;
}

export function requestOrigin(request: RequestHead, options: OriginOptions): string {
  if (options.publicUrl) return options.publicUrl;
  const forwarded = (name: string) => {
    const value = request.headers[name];
    const counts = value !== undefined && isTrusted(request.socket.remoteAddress, options.trustedProxies);
    return counts ? lastOf(value) : undefined;
  };
  const host = forwarded("x-forwarded-host") ?? request.headers.host ?? request.authority;
  const scheme = forwarded("x-forwarded-proto") === "https" || isSecure(request) ? "https" : "http";
  return host !== undefined && HOST.test(host) ? `${scheme}://${host}` : options.fallbackOrigin();
}

/** The value that the nearest proxy wrote: lists grow to the right. */
function lastOf(value: string | string[]): string | undefined {
  return String(value).split(",").at(-1)?.trim() || undefined;
}

/** The sockets of HTTP/2 sessions have the property whether they are secure or not. */
const isSecure = ({ socket }: RequestHead) => socket.encrypted === true;
