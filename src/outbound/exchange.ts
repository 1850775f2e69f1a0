/** One request and its response over one connection, bounded in every part, given up when the signal aborts. */
import type { Dispatcher } from "undici";
import type { Connection } from "./connection.ts";

/** Interim (1xx) responses that one exchange puts up with. */
export const INFORMATIONAL_RESPONSES_MAX = 16;

/** A header's name and value. */
export type Header = readonly [name: string, value: string];

export interface ExchangeRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: readonly Header[];
  readonly body: Buffer;
  /** Response bytes kept. */
  readonly responseBodyBytesMax: number;
  readonly responseHeaderBytesMax: number;
}

/** What came back, whole or not. */
export interface Exchange {
  /** null: no final status line came. */
  readonly statusCode: number | null;
  /** The first headers that fit the bound, in the order received, names as sent. */
  readonly headers: readonly Header[];
  /** The first Retry-After header, looked for in all headers. */
  readonly retryAfter: string | null;
  readonly body: Buffer;
  /** The body is longer than what is kept, or did not end. */
  readonly truncated: boolean;
  /** Why the exchange did not end; null if it did, or if the body's bound ended it. */
  readonly error: unknown;
  /** The response ended where its framing says, so that the connection may serve another request. */
  readonly reusable: boolean;
}

/** A response that exceeds our bounds in a way that the parser lets through; the message says what was sent. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/**
 * Sends `request` over the connection. Never rejects. As soon as the bound of the body, an error or the signal
 * ends the exchange it resolves, and the connection must be released as not reusable, which closes it.
 */
export function exchange(connection: Connection, request: ExchangeRequest, signal: AbortSignal): Promise<Exchange> {
  const { method, path, headers, body } = request;
  return new Promise((resolve) => {
    const collector = new ResponseCollector(request);
    const finish = (ended: { truncated: boolean; reusable: boolean; error: unknown }) => {
      if (collector.finished) return;
      collector.finished = true;
      signal.removeEventListener("abort", onAbort);
      resolve({ ...collector.response(), ...ended });
    };
    const fail = (error: unknown) => finish({ truncated: true, reusable: false, error });
    const onAbort = () => fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) return onAbort();
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        if (collector.finished) controller.abort(new Error("given up"));
      },
      onResponseStart: (controller, statusCode) => {
        if (collector.finished) return;
        const error = collector.start(statusCode, rawHeadersOf(controller));
        if (error === null) return;
        fail(error);
        controller.abort(error);
      },
      onResponseData: (controller, chunk) => {
        if (collector.finished || collector.add(chunk)) return;
        finish({ truncated: true, reusable: false, error: null });
        controller.abort(new Error("the response body is longer than what is kept"));
      },
      onResponseEnd: () => finish({ truncated: false, reusable: true, error: null }),
      onResponseError: (_controller, error) => fail(error),
    };
    connection.client.dispatch(
      { method, path, headers: headers.flat(), body: method === "GET" ? null : body },
      handler,
    );
  });
}

class ResponseCollector {
  finished = false;
  readonly #bodyBytesMax: number;
  readonly #headerBytesMax: number;
  #statusCode: number | null = null;
  #headers: Header[] = [];
  #retryAfter: string | null = null;
  #chunks: Buffer[] = [];
  #bodyBytes = 0;
  #informational = 0;

  constructor(request: ExchangeRequest) {
    this.#bodyBytesMax = request.responseBodyBytesMax;
    this.#headerBytesMax = request.responseHeaderBytesMax;
  }

  /** Takes a status line and its headers; answers the error that ends the exchange, if any. */
  start(statusCode: number, rawHeaders: readonly Header[]): ProtocolError | null {
    if (statusCode < 200) {
      this.#informational += 1;
      return this.#informational > INFORMATIONAL_RESPONSES_MAX ? new ProtocolError("too many interim responses") : null;
    }
    this.#statusCode = statusCode;
    let bytes = 0;
    for (const header of rawHeaders) {
      const [name, value] = header;
      if (name.toLowerCase() === "retry-after") this.#retryAfter ??= value;
      bytes += name.length + value.length + 4;
      if (bytes <= this.#headerBytesMax) this.#headers.push(header);
    }
    return null;
  }

  /** Keeps what fits; false when the body is longer than the bound. */
  add(chunk: Buffer): boolean {
    const room = this.#bodyBytesMax - this.#bodyBytes;
    // Copied, because a chunk is a view of a whole read buffer, which would be kept with it.
    const kept = Buffer.from(chunk.subarray(0, room));
    if (kept.length > 0) this.#chunks.push(kept);
    this.#bodyBytes += kept.length;
    return chunk.length <= room;
  }

  response() {
    return {
      statusCode: this.#statusCode,
      headers: this.#headers,
      retryAfter: this.#retryAfter,
      body: Buffer.concat(this.#chunks),
    };
  }
}

/** undici hands raw headers over as a flat list of names and values; their bytes are read as latin1 (RFC 9110 §5.5). */
function rawHeadersOf(controller: Dispatcher.DispatchController): Header[] {
  const raw = controller.rawHeaders;
  if (!Array.isArray(raw)) return [];
  const headers: Header[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    headers.push([latin1(raw[index]), latin1(raw[index + 1])]);
  }
  return headers;
}

function latin1(value: Buffer | string | undefined): string {
  return typeof value === "string" ? value : (value?.toString("latin1") ?? "");
}
