/** What is known of how a call came, worked out when it is first asked for. */
import type { BlockList } from "node:net";
import type { AnswerEnd, Incoming } from "../rpc/context.ts";
import { addressOf, clientOf } from "./client-address.ts";
import type { RequestHead } from "./exchange.ts";
import { requestOrigin } from "./request-origin.ts";

export interface IncomingOptions {
  /** PUBLIC_URL, which wins over everything. */
  readonly publicUrl: string | undefined;
  /** Peers whose X-Forwarded-* count. */
  readonly trustedProxies: BlockList;
  /** The origin where no usable Host came. */
  readonly fallbackOrigin: () => string;
  /** Aborts when the port is about to close. */
  readonly stopping: AbortSignal;
}

export class IncomingCall implements Incoming {
  readonly answerEnd: AnswerEnd;
  readonly #head: RequestHead;
  readonly #options: IncomingOptions;
  #address: string | undefined;

  /** `head` outlives the connection. */
  constructor(head: RequestHead, answerEnd: AnswerEnd, options: IncomingOptions) {
    this.#head = head;
    this.answerEnd = answerEnd;
    this.#options = options;
  }

  get stopping(): AbortSignal {
    return this.#options.stopping;
  }

  get origin(): string {
    return requestOrigin(this.#head, this.#options);
  }

  get address(): string {
    this.#address ??= addressOf(this.#head, this.#options.trustedProxies);
    return this.#address;
  }

  get client(): string {
    return clientOf(this.address);
  }
}
