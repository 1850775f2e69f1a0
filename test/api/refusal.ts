/** What a REST error answer says, in the form that tables of expectations are written in. */
import type { Answer } from "../support/api.ts";

/** `[status, code, ["field rule", …]]`. Throws where the body is not exactly the documented error form. */
export function refusal({ status, headers, body }: Answer): readonly [number, string, readonly string[]] {
  if (!headers.get("content-type")?.startsWith("application/json")) throw new Error(`not JSON: ${status} ${body}`);
  const { error, ...rest } = body;
  const { code, message, details, ...more } = error ?? {};
  const extra = [...Object.keys(rest), ...Object.keys(more)];
  if (typeof message !== "string" || message === "" || extra.length > 0) throw new Error(JSON.stringify(body));
  return [status, code, details.map(fieldAndRule)];
}

/** A BAD_REQUEST about these fields. */
export const badRequest = (...fields: string[]) => [400, "BAD_REQUEST", fields] as const;
export const notFound = [404, "NOT_FOUND", []] as const;
export const unauthorized = [401, "UNAUTHORIZED", []] as const;
export const conflict = [409, "CONFLICT", []] as const;

function fieldAndRule(detail: Record<string, unknown>): string {
  if (Object.keys(detail).join() !== "field,rule,message" || detail.message === "") {
    throw new Error(`not an error detail: ${JSON.stringify(detail)}`);
  }
  return `${detail.field} ${detail.rule}`;
}
