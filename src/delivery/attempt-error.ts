/** The closed list of reasons why an attempt did not succeed. */
import { FAILURE_CODES } from "../outbound/failure.ts";

/** Error codes of attempts, as stored and shown. */
export const ATTEMPT_ERROR_CODES = [
  /** The exchange failed. */
  ...FAILURE_CODES,
  /** A status other than 2xx, whether or not the body behind it ended. */
  "http_status",
  /** The token endpoint issued no token; nothing was sent. */
  "oauth2",
  /** The event has passed too many gateways already; nothing was sent. */
  "too_many_hops",
  /** Our own fault kept the attempt from being made; nothing was sent. */
  "internal",
  /** History is kept no longer: the event is gone, or its delivery was still owed at the end; nothing was sent. */
  "expired",
  /** The worker died during the attempt; written by whoever takes the delivery over, never by an attempt itself. */
  "interrupted",
] as const;
export type AttemptErrorCode = (typeof ATTEMPT_ERROR_CODES)[number];

/** A code and a sentence for people, without addresses of ours, paths or stacks. */
export interface AttemptFailure {
  readonly code: AttemptErrorCode;
  readonly message: string;
}
