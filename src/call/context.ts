/**
 * What a service knows of the call that it answers. A context costs little for a call that asks it for little: headers,
 * URL and signal come into being when they are first read.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type HandlerContext } from "@connectrpc/connect";
import { CallHeaders } from "./call-headers.ts";

export interface CallInit {
  readonly method: DescMethod;
  readonly protocolName: string;
  readonly requestMethod: string;
  readonly headers: IncomingHttpHeaders;
  readonly url: () => string;
  /** The deadline, milliseconds from now. */
  readonly timeoutMs: number | undefined;
  readonly values: ContextValues;
}

/** What the signal of a call gives as reason once its answer is out. */
const FINISHED = new ConnectError("the call has ended", Code.Canceled);

export class CallContext implements HandlerContext {
  readonly method: DescMethod;
  readonly service: DescService;
  readonly protocolName: string;
  readonly requestMethod: string;
  readonly requestHeader: CallHeaders;
  readonly responseHeader = new CallHeaders();
  readonly responseTrailer = new CallHeaders();
  readonly values: ContextValues;
  /** Milliseconds until the deadline, if there is one. */
  readonly timeoutMs: () => number | undefined;
  readonly #makeUrl: () => string;
  #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;
  #onAbort: ((reason: unknown) => void) | undefined;

  constructor(init: CallInit) {
    const { method, timeoutMs } = init;
    this.method = method;
    this.service = method.parent;
    this.protocolName = init.protocolName;
    this.requestMethod = init.requestMethod;
    this.requestHeader = new CallHeaders(init.headers);
    this.values = init.values;
    this.#makeUrl = init.url;
    const endMs = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    this.timeoutMs = () => (endMs === undefined ? undefined : endMs - Date.now());
    if (timeoutMs !== undefined) this.#abortAfter(timeoutMs);
  }

  get url(): string {
    return this.#makeUrl();
  }

  /** The response headers, if anybody has set any. */
  get headersSet(): Headers | undefined {
    return this.responseHeader.built;
  }

  /** The trailers, if anybody has set any. */
  get trailersSet(): Headers | undefined {
    return this.responseTrailer.built;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  /**
   * Does something on behalf of the call: settles as it does, or rejects as soon as the call is aborted. Nothing is
   * begun after that. One thing at a time: the last one counts.
   */
  untilAborted<Result>(begin: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#aborted) {
        reject(this.#aborted.reason);
        return;
      }
      this.#onAbort = reject;
      begin().then(resolve, reject);
    });
  }

  /** Ends the call before its answer. Only the first reason counts. */
  abort(reason: unknown): void {
    clearTimeout(this.#timer);
    if (this.#aborted) return;
    this.#aborted = { reason };
    this.#controller?.abort(reason);
    this.#onAbort?.(reason);
  }

  /** The client no longer waits for an answer, if there has been none. */
  leave(): void {
    if (!this.#aborted) this.abort(new ConnectError("the client went away", Code.Canceled));
  }

  /** The answer is out: what still works on the call may stop. */
  finish(): void {
    this.abort(FINISHED);
  }

  #abortAfter(timeoutMs: number): void {
    const expire = () => this.abort(new ConnectError("the operation timed out", Code.DeadlineExceeded));
    if (timeoutMs > 0) this.#timer = setTimeout(expire, timeoutMs);
    else expire();
  }
}
