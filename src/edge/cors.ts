/**
 * Pages of other origins that may call the API (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol). An API key
 * is all the authority there is, so credentials of the browser are never allowed. A page of the public web stays out
 * of a private network as far as the browser sees to it: `access-control-request-private-network` is not answered.
 */
import { cors } from "@connectrpc/connect";
import { sendAnswer } from "../transcode/answer.ts";
import type { Exchange } from "./exchange.ts";

export interface CorsOptions {
  /** Serialized origins, or only "*" for every one. None: no page of another origin may call. */
  readonly origins: readonly string[];
  /** Methods that the API takes. */
  readonly methods: readonly string[];
  /** How long a browser may remember the answer to a preflight, seconds. */
  readonly maxAgeSeconds: number;
}

/** Ours, besides those of the RPC protocols. */
const REQUEST_HEADERS = ["authorization", "x-server-timeout"];
const RESPONSE_HEADERS = ["allow", "retry-after"];

const joined = (names: readonly string[]): string => [...new Set(names.map((it) => it.toLowerCase()))].join(", ");

/** Puts the headers on the response to come, whatever it will be, or answers a preflight; returns whether it has. */
export function createCors({ origins, methods, maxAgeSeconds }: CorsOptions): (exchange: Exchange) => boolean {
  const allowed = new Set(origins);
  const all = allowed.has("*");
  const preflight = {
    "access-control-allow-methods": [...new Set([...cors.allowedMethods, ...methods])].join(", "),
    "access-control-allow-headers": joined([...cors.allowedHeaders, ...REQUEST_HEADERS]),
    "access-control-max-age": String(maxAgeSeconds),
  };
  const exposed = joined([...cors.exposedHeaders, ...RESPONSE_HEADERS]);

  return (exchange) => {
    if (allowed.size === 0) return false;
    const { request, response } = exchange;
    const { origin } = request.headers;
    // Also where no origin is named: no cache may give one origin the answer for another.
    response.setHeader("vary", "origin");
    if (origin === undefined || !(all || allowed.has(origin))) return false;
    response.setHeader("access-control-allow-origin", all ? "*" : origin);
    if (request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined) {
      sendAnswer(exchange, { status: 204, headers: { ...preflight }, body: undefined });
      return true;
    }
    response.setHeader("access-control-expose-headers", exposed);
    return false;
  };
}
