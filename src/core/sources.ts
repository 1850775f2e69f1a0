/** The catalogue of sources, page by page. The same for every organization. */
import { AppError, invalidField } from "../errors.ts";
import { CATALOGUE, findInCatalogue, type SourceFacts } from "../signature/catalogue.ts";
import { findSource } from "../signature/source.ts";
import { SYSTEM } from "../signature/system.ts";
import type { Page, PageRequest } from "./pages.ts";

const NAME = /^[a-z0-9-]{1,100}$/;

/** Sources in the order of their names. A cursor is the last name of its page. */
export function listSources({ limit, cursor }: PageRequest): Page<SourceFacts> {
  const after = cursor === undefined ? "" : readCursor(cursor);
  const rest = CATALOGUE.filter(({ name }) => name > after);
  const items = rest.slice(0, limit);
  const hasMore = rest.length > items.length;
  const last = items.at(-1);
  return { items, hasMore, nextCursor: hasMore && last ? Buffer.from(last.name).toString("base64url") : null };
}

/** NOT_FOUND for a name that stands for no preset. */
export function getSource(name: string): SourceFacts {
  const facts = findInCatalogue(name.trim());
  if (findSource(name.trim()) === SYSTEM) {
    throw new AppError("NOT_FOUND", "source system has no provider: its events are this service's own");
  }
  if (!facts) throw new AppError("NOT_FOUND", "no such source; a webhook may have any, which then behaves as custom");
  return facts;
}

function readCursor(cursor: string): string {
  const name = Buffer.from(cursor, "base64url").toString("utf8");
  if (NAME.test(name) && Buffer.from(name).toString("base64url") === cursor) return name;
  throw invalidField("cursor", "cursor", "must be the nextCursor of the page before");
}
