/** What is told of the work: a record of each acknowledged event and of each attempt. Times in milliseconds. */

/** A new event, one that the webhook's allowlist filters, or a repeat of an earlier one. */
export type ReceiveOutcome = "recorded" | "filtered" | "duplicate";

/** An event that was acknowledged. */
export interface ReceivedEvent {
  readonly outcome: ReceiveOutcome;
  /** That of the first event, where this one repeats it. */
  readonly eventId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly source: string;
  readonly type: string | null;
  readonly scheme: string;
  readonly verified: boolean;
  readonly synthetic: boolean;
  /** Of the body. */
  readonly bytes: number;
  /** What the event owes; null where it owes nothing. */
  readonly deliveryId: string | null;
  readonly stages: {
    /** From the head to the end of the body; undefined where the request came as a message. */
    readonly read: number | undefined;
    /** Finding the webhook and judging the request. */
    readonly verify: number;
    /** Waiting for a batch, and its commit. */
    readonly commit: number;
  };
  /** The sender's `traceparent`, if it sent one. */
  readonly traceparent: () => string | undefined;
}

/**
 * What follows from an attempt: the delivery has succeeded, is tried again, has failed; its destination is stopped; or
 * nothing, because the lease was lost.
 */
export type AttemptOutcome = "succeeded" | "retry" | "failed" | "stopped" | "lost";

/** An attempt that was made, and recorded unless it was lost. */
export interface MadeAttempt {
  readonly outcome: AttemptOutcome;
  readonly eventId: string;
  /** Nothing of one that was interrupted: it was not seen to end. */
  readonly stages: {
    /** From the time at which it was due until it began. */
    readonly queue?: number;
    readonly attempt?: number;
    /** Recording it, and what follows from it. */
    readonly completion?: number;
  };
  /** The attempt as it is recorded. */
  readonly attempt: {
    readonly organizationId: string;
    readonly webhookId: string;
    readonly deliveryId: string;
    readonly number: number;
    readonly trigger: string;
    /** Where its time went; null where a part did not take place, or did not end. */
    readonly times: Readonly<Record<"dnsMs" | "connectMs" | "tlsMs" | "firstByteMs", number | null>>;
    /** Null where it is not known. */
    readonly url: string | null;
    readonly durationMs: number;
    readonly statusCode: number | null;
    readonly errorCode: string | null;
    readonly remoteAddress: string | null;
    readonly next: { readonly kind: string; readonly delayMs?: number };
  };
}

/** Where an attempt went. The rest of a url may be a secret, as it is with chat services. */
export const originOf = (url: string | null): string | null => (url === null ? null : (URL.parse(url)?.origin ?? null));
