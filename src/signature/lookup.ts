/** Where type and id of an event are looked up, and the clean text that is found there. */
import { type CompiledPlace, compilePlace } from "./place.ts";
import { bodyField, bodyFields, type InboundRequest } from "./request.ts";

/** A place, or the first key of the body's object that a pattern matches. */
export type LookupPart =
  | CompiledPlace
  | { readonly from: "key"; readonly name: string; readonly matches: (key: string) => boolean };

/** The parts of one lookup: the first is required, the rest are appended where they are there. */
export type CompiledLookup = readonly [LookupPart, ...LookupPart[]];

/** Most members of a list of which each is looked at. */
export const LOOKUP_MEMBERS_MAX = 1_000;

/** Throws TypeError on a lookup that makes no sense. */
export function compileLookup(lookup: string): CompiledLookup {
  const [first, ...rest] = lookup.split("+").map(lookupPart);
  if (first === undefined) throw new TypeError(`lookup ${lookup} is empty`);
  return [first, ...rest];
}

function lookupPart(text: string): LookupPart {
  const name = text.slice(2);
  if (text.startsWith("h:")) return compilePlace({ name });
  if (text.startsWith("j:")) return compilePlace({ from: "body", name });
  if (text.startsWith("k:")) return { from: "key", name, matches: keyPattern(name) };
  throw new TypeError(`lookup ${text} must begin with h:, j: or k:`);
}

function keyPattern(text: string): (key: string) => boolean {
  const negated = text.startsWith("!");
  const literals = text.slice(negated ? 1 : 0).split("*");
  const source = literals.map((literal) => literal.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  const pattern = new RegExp(`^${source}$`, "s");
  return (key) => pattern.test(key) !== negated;
}

/**
 * What the lookup finds, one text for each member of a list where a path takes every member (null for one that has
 * none), else one. Parts that take members of the same list go together.
 */
export function lookUp(lookup: CompiledLookup, request: InboundRequest): readonly (string | null)[] {
  const columns = lookup.map((part) => partTexts(part, request));
  const count = Math.min(Math.max(...columns.map((texts) => texts.length)), LOOKUP_MEMBERS_MAX);
  return Array.from({ length: count }, (_, index) => {
    const [first, ...rest] = columns.map((texts) => texts[texts.length === 1 ? 0 : index] ?? null);
    return first === null || first === undefined ? null : [first, ...rest.filter((text) => text !== null)].join(".");
  });
}

function partTexts(part: LookupPart, request: InboundRequest): readonly (string | null)[] {
  switch (part.from) {
    case "header":
      return [cleanText(request.header(part.name))];
    case "body":
      return bodyFields(request, part.path).map(cleanText);
    case "key":
      return [cleanText(Object.keys(bodyObject(request)).find(part.matches))];
  }
}

function bodyObject(request: InboundRequest): object {
  const body = bodyField(request, []);
  return typeof body === "object" && body !== null && !Array.isArray(body) ? body : {};
}

/** Text, or a number in decimal; null where it is empty, no well-formed Unicode or has control characters. */
function cleanText(value: unknown): string | null {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || text === "") return null;
  return text.isWellFormed() && !/\p{Cc}/u.test(text) ? text : null;
}
