/** Requests of our own, other than deliveries: for tokens, keys and certificates, under the same guard and bounds. */
import { VERSION } from "../version.ts";
import { openDeadline } from "./deadline.ts";
import type { Header } from "./exchange.ts";
import type { Failure } from "./failure.ts";
import type { HttpClient } from "./http-client.ts";
import { sendRequest } from "./request.ts";

export interface FetchOptions {
  readonly method?: "GET" | "POST";
  readonly headers?: readonly Header[];
  readonly body?: Buffer;
  /** One deadline over the whole, milliseconds. */
  readonly timeoutMs: number;
  /** Longest answer that is taken, bytes. */
  readonly bodyBytesMax: number;
  readonly signal?: AbortSignal;
  /** How failures name the other side, such as "The token endpoint". */
  readonly peer: string;
}

/** An answer of any status, whole; or why there is none. */
export type Fetched =
  | { readonly ok: true; readonly statusCode: number; readonly headers: readonly Header[]; readonly body: Buffer }
  | { readonly ok: false; readonly failure: Failure };

/** Fetches `url`. Redirects are answers like others; a longer body is `protocol`. Never rejects. */
export async function fetchBounded(client: HttpClient, url: string, options: FetchOptions): Promise<Fetched> {
  const { method = "GET", headers = [], body = Buffer.alloc(0), bodyBytesMax, peer } = options;
  const deadline = openDeadline(options.timeoutMs, options.signal);
  const request = {
    method,
    url,
    headers: [["user-agent", `Alumia-Webhooks/${VERSION}`] as const, ...headers],
    body,
    responseBodyBytesMax: bodyBytesMax,
  };
  const { response, failure } = await sendRequest(client, request, deadline.signal, peer);
  deadline.clear();
  if (failure !== null) return { ok: false, failure };
  const { statusCode } = response;
  if (statusCode === null || response.truncated) {
    const message = `${peer}'s answer is longer than ${bodyBytesMax} bytes.`;
    return { ok: false, failure: { code: "protocol", message } };
  }
  return { ok: true, statusCode, headers: response.headers, body: response.body };
}
