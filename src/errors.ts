/**
 * The service's own errors, typed by reason. They know no HTTP and no Connect: `rpc/error-mapping.ts` and the
 * edge map them to the wire.
 */

export const REASONS = [
  "BAD_REQUEST",
  "UNAUTHORIZED",
  "FORBIDDEN",
  "NOT_FOUND",
  "CONFLICT",
  "REQUEST_TIMEOUT",
  "PAYLOAD_TOO_LARGE",
  "TOO_MANY_REQUESTS",
  "CANCELED",
  "INTERNAL",
  "UNIMPLEMENTED",
  "SERVICE_UNAVAILABLE",
  "DEADLINE_EXCEEDED",
] as const;

/** Why a request was refused; DESIGN's error codes that a use case can raise. */
export type Reason = (typeof REASONS)[number];

/** One field that was refused: its JSON name, the rule's id, and a sentence for people. */
export interface FieldViolation {
  readonly field: string;
  readonly rule: string;
  readonly message: string;
}

/** An error that may be shown to the caller. `message` and `violations` are public; `cause` is only logged. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly reason: Reason;
  readonly violations: readonly FieldViolation[];

  constructor(
    reason: Reason,
    message: string,
    options: { violations?: readonly FieldViolation[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.reason = reason;
    this.violations = options.violations ?? [];
  }
}

/** A BAD_REQUEST about one field, named as in JSON. */
export function invalidField(field: string, rule: string, message: string): AppError {
  return new AppError("BAD_REQUEST", `${field}: ${message}`, { violations: [{ field, rule, message }] });
}
