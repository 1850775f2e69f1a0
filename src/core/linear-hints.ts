/** Which webhooks a Linear webhook has been seen to belong to: a hint for its next request, and nothing more. */

/** Webhooks remembered of one Linear webhook: others cannot crowd its own out by claiming its id once. */
const PER_SUBSCRIPTION_MAX = 4;
const FIELD = '"webhookId"';
/** What follows the field's name. */
const VALUE = /^\s{0,8}:\s{0,8}"([0-9A-Za-z-]{1,64})"/;
const VALUE_BYTES_MAX = 96;

export class LinearHints {
  readonly #max: number;
  /** Ids of webhooks by Linear's id, the latest match first; in the order in which they were last confirmed. */
  readonly #hints = new Map<string, readonly string[]>();

  constructor(max: number) {
    this.#max = max;
  }

  get(subscription: string | undefined): readonly string[] {
    return (subscription !== undefined && this.#hints.get(subscription)) || [];
  }

  /** To be called once a request of this Linear webhook has been verified. */
  confirm(subscription: string | undefined, webhookId: string): void {
    if (subscription === undefined) return;
    const others = this.get(subscription).filter((id) => id !== webhookId);
    this.#hints.delete(subscription);
    this.#hints.set(subscription, [webhookId, ...others].slice(0, PER_SUBSCRIPTION_MAX));
    const [oldest = ""] = this.#hints.size > this.#max ? this.#hints.keys() : [];
    this.#hints.delete(oldest);
  }
}

/**
 * The id that Linear gave its own webhook, as the body seems to say: looked for without parsing, because the body is
 * not verified yet and a wrong hint does no harm.
 */
export function subscriptionOf(body: Buffer): string | undefined {
  const at = body.lastIndexOf(FIELD);
  if (at < 0) return undefined;
  const from = at + FIELD.length;
  return VALUE.exec(body.toString("latin1", from, from + VALUE_BYTES_MAX))?.[1];
}
