/** What an event is called by its sender: type and id, and what they are worth for finding repeats. */
import type { CompiledScheme, CompiledSource } from "./compile.ts";
import { type CompiledLookup, lookUp } from "./lookup.ts";
import type { InboundRequest } from "./request.ts";
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
  /** The types of all events in the request, `type` the first of them: an allowlist lets it through for any of them. */
  readonly types: readonly string[];
  readonly id: string | null;
  /** What makes a repeat of this event. `none` where the policy needs an id and there is none. */
  readonly repeats: RepeatPolicy;
  /** What is signed, as pieces, by which repeats are known where the id is not signed. */
  readonly content: readonly (string | Buffer)[];
}

/**
 * Reads type and id as the source's preset says; for a source of several forms, as the form that was judged (its scheme's
 * name), or else as the one that the request bears. Text that is empty, too long, not well-formed Unicode or contains control characters is null; numbers are written out in
 * decimal. Does not verify: only after a valid verdict do they come from the sender.
 */
export function identify(source: CompiledSource, request: InboundRequest, judged?: string): EventIdentity {
  const scheme = source.schemes.find(({ name }) => name === judged) ?? chooseScheme(source, request);
  if (isRefusal(scheme)) {
    const types = typesOf(source.schemes[0].type, request);
    return { type: types[0] ?? null, types, id: null, repeats: "none", content: [request.body] };
  }
  const types = typesOf(scheme.type, request);
  const id = idOf(scheme.id, request);
  const repeats = id === null && !WITHOUT_ID.has(scheme.repeats) ? "none" : scheme.repeats;
  return { type: types[0] ?? null, types, id, repeats, content: contentOf(scheme, repeats, request) };
}

/** The distinct types by the first lookup that finds any. */
function typesOf(lookups: readonly CompiledLookup[], request: InboundRequest): readonly string[] {
  for (const lookup of lookups) {
    const found = lookUp(lookup, request).flatMap((text) =>
      text !== null && text.length <= TYPE_CHARS_MAX ? text : [],
    );
    if (found.length > 0) return [...new Set(found)];
  }
  return [];
}

/** A batch has no id: an id is that of the only event in the request. */
function idOf(lookups: readonly CompiledLookup[], request: InboundRequest): string | null {
  for (const lookup of lookups) {
    const [id, second] = lookUp(lookup, request);
    if (typeof id === "string" && second === undefined && id.length <= EVENT_ID_CHARS_MAX) return id;
  }
  return null;
}

function contentOf({ method }: CompiledScheme, repeats: RepeatPolicy, request: InboundRequest) {
  return (repeats.startsWith("unsigned-id") && method.signedContent?.(request)) || [request.body];
}
