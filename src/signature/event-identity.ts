/** What an event is called by its sender: type and id, and what they are worth for finding repeats. */
import type { CompiledLookup, CompiledPlace, CompiledSource } from "./compile.ts";
import { bodyField, type InboundRequest } from "./request.ts";
import type { RepeatPolicy } from "./scheme.ts";
import { isRefusal } from "./verdict.ts";
import { chooseScheme } from "./verify.ts";

/** Longest type and longest id, characters. Longer ones are not cut, which could make two equal, but null. */
export const TYPE_CHARS_MAX = 200;
export const EVENT_ID_CHARS_MAX = 200;

/** What makes a repeat without an id. */
const WITHOUT_ID: ReadonlySet<RepeatPolicy> = new Set(["unsigned-id", "unsigned-id-and-type"]);

export interface EventIdentity {
  readonly type: string | null;
  readonly id: string | null;
  /** What makes a repeat of this event. `none` where the policy needs an id and there is none. */
  readonly repeats: RepeatPolicy;
}

/**
 * Reads type and id as the source's preset says; for `custom`, as the form that the request uses. Text that is
 * empty, too long, not well-formed Unicode or contains control characters is null; numbers are written out in
 * decimal. Does not verify: only after a valid verdict do they come from the sender.
 */
export function identify(source: CompiledSource, request: InboundRequest): EventIdentity {
  const scheme = chooseScheme(source, request);
  if (isRefusal(scheme)) {
    return { type: firstOf(source.schemes[0].type, request, TYPE_CHARS_MAX), id: null, repeats: "none" };
  }
  const id = firstOf(scheme.id, request, EVENT_ID_CHARS_MAX);
  return {
    type: firstOf(scheme.type, request, TYPE_CHARS_MAX),
    id,
    repeats: id === null && !WITHOUT_ID.has(scheme.repeats) ? "none" : scheme.repeats,
  };
}

function firstOf(lookups: readonly CompiledLookup[], request: InboundRequest, charsMax: number): string | null {
  for (const lookup of lookups) {
    const text = joined(lookup, request);
    if (text !== null && text.length <= charsMax) return text;
  }
  return null;
}

function joined([first, ...rest]: CompiledLookup, request: InboundRequest): string | null {
  let text = cleanText(first, request);
  if (text === null) return null;
  for (const place of rest) {
    const more = cleanText(place, request);
    if (more !== null) text += `.${more}`;
  }
  return text;
}

function cleanText(place: CompiledPlace, request: InboundRequest): string | null {
  const value = place.from === "header" ? request.header(place.name) : bodyField(request, place.path);
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || text === "") return null;
  return text.isWellFormed() && !/\p{Cc}/u.test(text) ? text : null;
}
