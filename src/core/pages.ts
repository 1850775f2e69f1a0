/** Cursor pages, the same for every list. */
import { Cursor, type EntityManager, type EntityName, type FilterQuery } from "@mikro-orm/postgresql";
import { invalidField } from "../errors.ts";

export interface PageRequest {
  readonly limit: number;
  /** `nextCursor` of the page before. */
  readonly cursor: string | undefined;
}

export interface Page<Item> {
  readonly items: Item[];
  readonly nextCursor: string | null;
  readonly hasMore: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Times as cursors write them. Looser forms could name a time that PostgreSQL does not have. */
const ISO_TIME = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** One page of an entity, newest first: by createdAt and id where `byCreation`, otherwise by id (a UUIDv7). */
export async function findPage<Entity extends { id: string }>(
  em: EntityManager,
  entity: EntityName<Entity>,
  where: FilterQuery<Entity>,
  request: PageRequest,
  byCreation: boolean,
): Promise<Page<Entity>> {
  const orderBy = byCreation ? { createdAt: "desc", id: "desc" } : { id: "desc" };
  const found = await em.findByCursor(entity, {
    where,
    first: request.limit,
    orderBy: orderBy as never,
    includeCount: false,
    ...(request.cursor ? { after: checkCursor(request.cursor, byCreation) } : {}),
  });
  return {
    items: found.items as Entity[],
    nextCursor: found.hasNextPage ? found.endCursor : null,
    hasMore: found.hasNextPage,
  };
}

/** Refuses what no list of ours can have issued. */
export function checkCursor(cursor: string, byCreation: boolean): string {
  try {
    const parts = Cursor.decode(cursor);
    const id = parts.at(-1);
    const shape = Array.isArray(parts) && parts.length === (byCreation ? 2 : 1);
    const dated = !byCreation || isTime(parts[0]);
    if (shape && dated && typeof id === "string" && UUID.test(id)) return cursor;
  } catch {
    // Falls through to the refusal.
  }
  throw invalidField("cursor", "cursor", "must be the nextCursor of the page before");
}

function isTime(part: unknown): boolean {
  return typeof part === "string" && ISO_TIME.test(part) && !Number.isNaN(Date.parse(part));
}
