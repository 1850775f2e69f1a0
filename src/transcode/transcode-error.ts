/** Why the transcoder itself refused a request; the edge maps the code to an HTTP status. */
export type TranscodeErrorCode =
  | "BAD_REQUEST"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "PAYLOAD_TOO_LARGE"
  | "UNSUPPORTED_MEDIA_TYPE";

/** One refused field: its JSON path as the caller wrote it, the broken rule, and a sentence for people. */
export interface TranscodeViolation {
  readonly field: string;
  readonly rule: string;
  readonly message: string;
}

/** A request that cannot be turned into a message. Everything in it is public and none of it echoes a value. */
export class TranscodeError extends Error {
  override readonly name = "TranscodeError";
  readonly code: TranscodeErrorCode;
  readonly violations: readonly TranscodeViolation[];
  /** Headers the answer must carry, such as `allow`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: TranscodeErrorCode,
    message: string,
    options: { violations?: readonly TranscodeViolation[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.code = code;
    this.violations = options.violations ?? [];
    this.headers = options.headers ?? {};
  }
}

/** Longest field path that an error repeats, in characters: keys are the caller's and may be megabytes. */
const FIELD_PATH_LENGTH_MAX = 200;

/** A BAD_REQUEST about one field. `rule` is `type`, `unknown`, `duplicate` or `oneof`. */
export function badField(field: string, rule: string, message: string): TranscodeError {
  const shown = field.length > FIELD_PATH_LENGTH_MAX ? `${field.slice(0, FIELD_PATH_LENGTH_MAX)}…` : field;
  const prefix = shown === "" ? "body" : shown;
  return new TranscodeError("BAD_REQUEST", `${prefix}: ${message}`, { violations: [{ field: shown, rule, message }] });
}

/** A BAD_REQUEST about the request as a whole. */
export function badRequest(message: string): TranscodeError {
  return new TranscodeError("BAD_REQUEST", message);
}
