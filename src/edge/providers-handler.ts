/** The setup guides as a page for people, at /providers: no key, no script, nothing of anybody's. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { toHtml } from "../guide/html.ts";
import { providersPage } from "../guide/page.ts";
import { STYLE } from "../guide/style.ts";
import { sendAnswer } from "../transcode/answer.ts";
import { type Exchange, sendMethodNotAllowed } from "./exchange.ts";

/** Where the page stands. */
export const PROVIDERS_PATH = "/providers";

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
  vary: "accept-encoding",
};

/** `origin` is where this service is found; the page is made when it is first asked for. */
export function createProvidersHandler(origin: () => string): (exchange: Exchange) => void {
  let made: { readonly plain: Buffer; readonly zipped: Buffer } | undefined;
  const make = () => {
    const blocks = providersPage({ origin: origin(), apiKey: "<API key>" });
    const plain = Buffer.from(toHtml("Providers · Alumia Webhooks", blocks));
    return { plain, zipped: gzipSync(plain) };
  };
  return (exchange) => {
    const { method, headers } = exchange.request;
    if (method !== "GET" && method !== "HEAD") return sendMethodNotAllowed(exchange, "GET, HEAD");
    made ??= make();
    const takesGzip = /(?:^|,)\s*gzip\s*(?:,|$)/i.test(String(headers["accept-encoding"] ?? ""));
    const encoding = takesGzip ? { "content-encoding": "gzip" } : {};
    sendAnswer(exchange, {
      status: 200,
      headers: { ...HEADERS, ...encoding },
      body: takesGzip ? made.zipped : made.plain,
    });
  };
}
