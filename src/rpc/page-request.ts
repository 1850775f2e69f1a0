import type { PageRequest } from "../core/pages.ts";

/** The page that a list request asks for; `limitDefault` where it names no limit. */
export function pageRequest(
  request: { limit?: number | undefined; cursor?: string | undefined },
  limitDefault: number,
): PageRequest {
  return { limit: request.limit ?? limitDefault, cursor: request.cursor || undefined };
}

/** The paging fields of a list response. */
export function pageFields(page: { nextCursor: string | null; hasMore: boolean }) {
  return { hasMore: page.hasMore, ...(page.nextCursor === null ? {} : { nextCursor: page.nextCursor }) };
}
