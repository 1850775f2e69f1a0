/**
 * Pages of lists that are filtered by what no index tells. Rows are examined newest first, few at first and then more at
 * a time, until the page is full, the list has ended, or a bound is met: then the page says so and its cursor goes on
 * where the look ended. Long looks take turns, so that no organization's keep another's waiting.
 */
import { Cursor } from "@mikro-orm/postgresql";
import { invalidField } from "../errors.ts";
import { UUID_TIME_MS_MAX, uuidLowerBound } from "../store/partitions.ts";
import type { IdRange, Step, StepBounds } from "../store/sql/scan.ts";
import type { FairTurns } from "./fair-turns.ts";
import { checkCursor, type Page, type PageRequest } from "./pages.ts";

export interface ScanLimits {
  /** Rows that one page examines, and how long that may take before it ends, milliseconds. */
  readonly scanRowsMax: number;
  readonly scanMsMax: number;
  /** Rows that one step examines. */
  readonly scanStepRowsMax: number;
}

export interface ScannedPage<Item> extends Page<Item> {
  /** Whether a bound was met before the page was full. */
  readonly truncated: boolean;
}

/** How many times as many rows each step examines as the one before. */
const GROWTH = 4;

export class Scans {
  readonly #limits: ScanLimits;
  readonly #turns: FairTurns;

  constructor(options: { limits: ScanLimits; turns: FairTurns }) {
    this.#limits = options.limits;
    this.#turns = options.turns;
  }

  /** The ids of one page. */
  async page(
    organizationId: string,
    request: PageRequest,
    step: (bounds: StepBounds) => Promise<Step>,
  ): Promise<ScannedPage<string>> {
    const { scanRowsMax, scanMsMax, scanStepRowsMax } = this.#limits;
    const endMs = performance.now() + scanMsMax;
    const ids: string[] = [];
    let after = request.cursor === undefined ? null : idOfCursor(request.cursor);
    let rows = request.limit + 1;
    for (let examined = 0; ; ) {
      const bounds = { after, rows, wanted: request.limit + 1 - ids.length };
      const found = examined === 0 ? await step(bounds) : await this.#turns.take(organizationId, () => step(bounds));
      ids.push(...found.ids);
      examined += found.examined;
      if (ids.length > request.limit) return pageOf(ids.slice(0, request.limit), ids[request.limit - 1] ?? null, false);
      if (found.last === null) return pageOf(ids, null, false);
      if (examined >= scanRowsMax || performance.now() >= endMs) return pageOf(ids, found.last, true);
      after = found.last;
      rows = Math.min(rows * GROWTH, scanStepRowsMax, scanRowsMax - examined);
    }
  }
}

function pageOf(items: string[], next: string | null, truncated: boolean): ScannedPage<string> {
  return { items, nextCursor: next === null ? null : Cursor.encode([next]), hasMore: next !== null, truncated };
}

function idOfCursor(cursor: string): string {
  return Cursor.decode(checkCursor(cursor, false))[0] as string;
}

/** Times of a filter, milliseconds; undefined: unbounded. */
export interface TimeRange {
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** The ids that were made from `since` on and before `until`. `within` begins the names of fields that are refused. */
export function idRange({ sinceMs, untilMs }: TimeRange, within = ""): IdRange {
  if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) {
    throw invalidField(`${within}until`, "range", "must be later than since");
  }
  return { from: sinceMs === undefined ? null : idAt(sinceMs), before: untilMs === undefined ? null : idAt(untilMs) };
}

const idAt = (ms: number): string => uuidLowerBound(Math.min(Math.max(Math.ceil(ms), 0), UUID_TIME_MS_MAX));

/** A type or a prefix followed by ".*", as filters take it; null for every type. */
export function typePattern(type: string | undefined, within = ""): string | null {
  if (type === undefined || type === "*") return null;
  const stem = type.endsWith(".*") ? type.slice(0, -2) : type;
  if (stem === "" || stem.includes("*")) {
    throw invalidField(`${within}type`, "pattern", 'must be a type, "*", or a prefix followed by ".*"');
  }
  return type;
}
