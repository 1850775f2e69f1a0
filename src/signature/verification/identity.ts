/** What an event is called and what makes a repeat, by a webhook's own settings. */
import type { Lookups, RepeatPolicy, Scheme, TimestampPlace } from "../scheme.ts";
import { type Chunk, parseTemplate } from "../template.ts";
import { checkLookups } from "./places.ts";
import { type Identity, type Verification, VerificationError } from "./settings.ts";

/** Whether the signature (or the token) vouches for what stands at a place: `h:name`, `j:path` or `k:pattern`. */
export type Coverage = (lookupPart: string) => boolean;

/** Policies that know an event by its id alone, which somebody must vouch for. */
const BY_ID: ReadonlySet<RepeatPolicy> = new Set(["signed-id", "restamped-id"]);
const NEEDS_ID: ReadonlySet<RepeatPolicy> = new Set([...BY_ID, "unsigned-id-and-body"]);

/** Type, id and repeats, where the settings leave the first two to `defaults`. */
export function identityOf(
  { eventType, eventId, repeats }: Verification,
  defaults: Identity,
  covers: Coverage,
): Pick<Scheme, "type" | "id" | "repeats"> {
  checkLookups("eventType", eventType ?? []);
  checkLookups("eventId", eventId ?? []);
  const id = eventId ?? defaults.id;
  const isCovered = id.flatMap((lookup) => lookup.split("+")).every(covers);
  checkRepeats(repeats, id, isCovered);
  return { type: eventType ?? defaults.type, id, repeats: repeats ?? derivedRepeats(id, isCovered) };
}

/** Without a word from the owner, distinct events are never taken for one. */
function derivedRepeats(id: Lookups, isCovered: boolean): RepeatPolicy {
  if (id.length === 0) return "none";
  return isCovered ? "signed-id" : "unsigned-id-and-body";
}

function checkRepeats(repeats: RepeatPolicy | undefined, id: Lookups, isCovered: boolean): void {
  if (repeats === undefined || !NEEDS_ID.has(repeats)) return;
  if (id.length === 0) throw new VerificationError("repeats", "id", `"${repeats}" needs eventId`);
  if (isCovered || !BY_ID.has(repeats)) return;
  const advice = 'take "unsigned-id-and-body" or "unsigned-id"';
  throw new VerificationError("repeats", "id", `"${repeats}" needs an eventId that the signature covers; ${advice}`);
}

/** A header or a field of the body as a lookup names it. */
export function lookupOf({ from, name }: { readonly from: TimestampPlace["from"]; readonly name: string }): string {
  return `${from === "header" ? "h" : "j"}:${name}`;
}

/** What the signature of these pieces covers, the timestamp among them. */
export function coverageOf(chunks: readonly Chunk[], ts: TimestampPlace | undefined): Coverage {
  const isWhole = chunks.some((chunk) => chunk.from === "body" || chunk.from === "sortedForm");
  const pieces = chunks.flatMap((chunk) => {
    if (chunk.from === "header") return lookupOf(chunk);
    if (chunk.from === "json") return lookupOf({ from: "body", name: chunk.path.join(".") });
    return chunk.from === "ts" && ts !== undefined && ts.from !== "sig" ? lookupOf(ts) : [];
  });
  const covered = new Set(pieces.map(folded));
  return (part) => covered.has(folded(part)) || (isWhole && !part.startsWith("h:"));
}

/** Names of headers have no case. */
const folded = (part: string): string => (part.startsWith("h:") ? part.toLowerCase() : part);

/** What a preset's form vouches for. */
export function coverageOfForm(scheme: Scheme, bodyAuthenticated: boolean): Coverage {
  switch (scheme.kind) {
    case "hmac":
    case "public-key":
      // The fields that a list's members sign are not named from the root.
      if (scheme.each !== undefined) return () => false;
      return coverageOf(parseTemplate(scheme.content ?? "{body}").chunks, scheme.ts);
    case "token":
    case "basic":
      return () => true;
    case "none":
      return () => false;
    case "code":
      return (part) => bodyAuthenticated && !part.startsWith("h:");
  }
}
