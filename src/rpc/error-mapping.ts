/** The one table between our reasons, HTTP statuses and Connect codes (DESIGN §4), and the ways through it. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AppError, type FieldViolation, type Reason } from "../errors.ts";
import { isOutage, unavailable } from "../store/batch-errors.ts";

/** Codes of REST errors: our reasons, and those that only HTTP has. */
export type RestCode = Reason | "METHOD_NOT_ALLOWED" | "UNSUPPORTED_MEDIA_TYPE" | "HTTP_VERSION_NOT_SUPPORTED";

export const HTTP_STATUS: Readonly<Record<RestCode, number>> = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  CONFLICT: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  TOO_MANY_REQUESTS: 429,
  CANCELED: 499,
  INTERNAL: 500,
  UNIMPLEMENTED: 501,
  SERVICE_UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
  HTTP_VERSION_NOT_SUPPORTED: 505,
};

const CONNECT_CODE: Readonly<Record<Reason, Code>> = {
  BAD_REQUEST: Code.InvalidArgument,
  UNAUTHORIZED: Code.Unauthenticated,
  FORBIDDEN: Code.PermissionDenied,
  NOT_FOUND: Code.NotFound,
  CONFLICT: Code.Aborted,
  REQUEST_TIMEOUT: Code.DeadlineExceeded,
  PAYLOAD_TOO_LARGE: Code.ResourceExhausted,
  TOO_MANY_REQUESTS: Code.ResourceExhausted,
  CANCELED: Code.Canceled,
  INTERNAL: Code.Internal,
  UNIMPLEMENTED: Code.Unimplemented,
  SERVICE_UNAVAILABLE: Code.Unavailable,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
};

const REASON_OF_CODE: Readonly<Record<Code, Reason>> = {
  [Code.Canceled]: "CANCELED",
  [Code.Unknown]: "INTERNAL",
  [Code.InvalidArgument]: "BAD_REQUEST",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "CONFLICT",
  [Code.PermissionDenied]: "FORBIDDEN",
  [Code.ResourceExhausted]: "TOO_MANY_REQUESTS",
  [Code.FailedPrecondition]: "BAD_REQUEST",
  [Code.Aborted]: "CONFLICT",
  [Code.OutOfRange]: "BAD_REQUEST",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "SERVICE_UNAVAILABLE",
  [Code.DataLoss]: "INTERNAL",
  [Code.Unauthenticated]: "UNAUTHORIZED",
};

const DOMAIN = "webhooks.alumia";

/**
 * The error as RPC clients see it: an AppError with its details (google.rpc.BadRequest, ErrorInfo), a ConnectError
 * as it is, an outage of the store as SERVICE_UNAVAILABLE, anything else as a bare "internal error". The cause stays on `cause`, which is never sent.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (isOutage(error)) return toConnectError(unavailable(error));
  if (!(error instanceof AppError)) {
    return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
  }
  const connectError = new ConnectError(error.message, CONNECT_CODE[error.reason], undefined, undefined, error);
  connectError.details.push({ desc: ErrorInfoSchema, value: { reason: error.reason, domain: DOMAIN } });
  if (error.violations.length > 0) connectError.details.push(badRequest(error.violations));
  return connectError;
}

function badRequest(violations: readonly FieldViolation[]) {
  const fieldViolations = violations.map(({ field, rule, message }) => ({ field, reason: rule, description: message }));
  return { desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) };
}

/** An error as REST writes it. */
export interface RestError {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: { error: { code: RestCode; message: string; details: readonly FieldViolation[] } };
}

/** Refusals that are over in a moment, and when to come back. */
const COME_BACK: ReadonlySet<RestCode> = new Set(["TOO_MANY_REQUESTS", "SERVICE_UNAVAILABLE"]);
const RETRY_AFTER_SECONDS = "1";

/** The REST form of a code, a message and what was wrong with which field. */
export function restError(code: RestCode, message: string, details: readonly FieldViolation[] = []): RestError {
  return {
    status: HTTP_STATUS[code],
    headers: COME_BACK.has(code) ? { "retry-after": RETRY_AFTER_SECONDS } : {},
    body: { error: { code, message, details: details.map(({ field, rule, message }) => ({ field, rule, message })) } },
  };
}

/** The REST form of whatever a service or an interceptor threw. */
export function toRestError(error: unknown): RestError {
  if (error instanceof AppError) return restError(error.reason, error.message, error.violations);
  const connectError = toConnectError(error);
  const details = connectError
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations)
    .map(({ field, reason, description }) => ({ field, rule: reason, message: description }));
  return restError(reasonOf(connectError), connectError.rawMessage, details);
}

function reasonOf(error: ConnectError): Reason {
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === DOMAIN);
  return info && info.reason in CONNECT_CODE ? (info.reason as Reason) : REASON_OF_CODE[error.code];
}
