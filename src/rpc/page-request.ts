import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
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

/** The same of a list that may end at a bound. */
export function scannedPageFields(page: { nextCursor: string | null; hasMore: boolean; truncated: boolean }) {
  const bound = page.truncated ? { bound: { case: "searchTruncated" as const, value: true } } : {};
  return { ...pageFields(page), ...bound };
}

/** The times that a list is narrowed to. */
export function timeRange(request: { since?: Timestamp | undefined; until?: Timestamp | undefined }) {
  return { sinceMs: request.since && timestampMs(request.since), untilMs: request.until && timestampMs(request.until) };
}
