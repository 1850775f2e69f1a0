/** The private PostgreSQL cannot be started or used. The message is one line for the operator, without secrets. */
export class EmbeddedPostgresError extends Error {
  override readonly name = "EmbeddedPostgresError";

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
  }
}

/** The `code` of a Node or PostgreSQL error, "" where there is none. */
export function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}

/** What went wrong, in one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0].message : error;
  return (text instanceof Error ? text.message : String(text)).split("\n", 1)[0] ?? "";
}
