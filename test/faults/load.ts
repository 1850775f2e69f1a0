/** A load of signed events on one webhook, over all replicas, whatever their answers are. */
import { createHmac } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf } from "./arrivals.ts";
import { makeBody } from "./fates.ts";
import { Random } from "./random.ts";

/** A sender gives a request up after this long without a byte, milliseconds. */
const PATIENCE_MS = 10_000;
/** Longest that a load waits for its events to be acknowledged, milliseconds. */
const REACHED_MS_MAX = 60_000;
/** Longest rest of a sender between two events, milliseconds. */
const REST_MS_MAX = 30;
/** Rest after a refusal: providers do not come back at once, milliseconds. */
const REFUSED_REST_MS = 50;

export interface LoadTarget {
  readonly secret: string;
  /** Where events may be sent now. */
  readonly receiveUrls: () => readonly string[];
}

type Answer = { readonly status: number; readonly eventId: string | undefined };

export class Load {
  /** SHA-256 of the body of every event that was answered 200, by the event's id. */
  readonly acknowledged = new Map<string, string>();
  /** How many requests were answered with each status; 0 stands for no answer. */
  readonly statuses = new Map<number, number>();
  readonly #target: LoadTarget;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #waiting = new Set<() => void>();
  readonly #senders: Promise<void>[];
  #isOver = false;

  constructor(target: LoadTarget, seed: number, senders: number) {
    this.#target = target;
    this.#senders = Array.from({ length: senders }, (_, n) => this.#send(new Random(seed, `sender ${n}`)));
  }

  get refusals(): number {
    return [...this.statuses].reduce((sum, [status, count]) => sum + (status === 200 ? 0 : count), 0);
  }

  /** Resolves when that many more events are acknowledged than now. */
  acknowledges(more: number): Promise<void> {
    const until = this.acknowledged.size + more;
    return this.#until(`${more} more events acknowledged`, () => this.acknowledged.size >= until);
  }

  /** Resolves when that many more requests are refused, or get no answer, than now. */
  refuses(more: number): Promise<void> {
    const until = this.refusals + more;
    return this.#until(`${more} more requests refused`, () => this.refusals >= until);
  }

  /** Ends once every request under way has its answer or has failed. May be called twice. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#senders);
    this.#agent.destroy();
  }

  async #until(what: string, isThere: () => boolean): Promise<void> {
    if (isThere()) return;
    let look = () => {};
    const there = new Promise<void>((resolve) => {
      look = () => isThere() && resolve();
    });
    const giveUp = new AbortController();
    const late = sleep(REACHED_MS_MAX, undefined, { signal: giveUp.signal }).then(() => {
      throw new Error(`not within ${REACHED_MS_MAX} ms: ${what}; statuses ${JSON.stringify([...this.statuses])}`);
    });
    this.#waiting.add(look);
    try {
      await Promise.race([there, late]);
    } finally {
      this.#waiting.delete(look);
      giveUp.abort();
      late.catch(() => {});
    }
  }

  async #send(random: Random): Promise<void> {
    while (!this.#isOver) {
      const urls = this.#target.receiveUrls();
      const url = urls[random.between(0, urls.length - 1)];
      if (url === undefined) {
        await sleep(REFUSED_REST_MS);
        continue;
      }
      const body = makeBody(random);
      const { status, eventId } = await this.#post(url, body);
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
      if (eventId !== undefined) this.acknowledged.set(eventId, digestOf(body));
      for (const look of this.#waiting) look();
      await sleep(eventId === undefined ? REFUSED_REST_MS : random.between(0, REST_MS_MAX));
    }
  }

  #post(url: string, body: Buffer): Promise<Answer> {
    const signature = createHmac("sha256", this.#target.secret).update(body).digest("hex");
    const headers = { "content-type": "application/octet-stream", "x-hub-signature-256": `sha256=${signature}` };
    return new Promise((resolve) => {
      const none = () => resolve({ status: 0, eventId: undefined });
      const sent = request(url, { method: "POST", agent: this.#agent, headers, timeout: PATIENCE_MS }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", none).on("close", none);
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          resolve({ status, eventId: status === 200 ? JSON.parse(text).eventId : undefined });
        });
      });
      sent.on("timeout", () => sent.destroy());
      sent.on("error", none);
      sent.end(body);
    });
  }
}
