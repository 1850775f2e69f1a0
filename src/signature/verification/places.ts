/** Names, paths and templates as a webhook's owner may write them: bounded, and of no surprise to the engine. */
import { type Chunk, parseTemplate } from "../template.ts";
import { VerificationError } from "./settings.ts";

/** Most steps of a path, parts of a lookup and pieces of a template. */
export const PATH_STEPS_MAX = 16;
export const LOOKUP_PARTS_MAX = 4;
export const TEMPLATE_PIECES_MAX = 40;

const HEADER_NAME = /^[\w.-]{1,100}$/;
/** `+` joins lookups, braces end a variable. */
const STEP = /^[^.+{}\p{Cc}]{1,100}$/u;
/** A list's member: a test event makes every one before it, too. */
const INDEX = /^\d{1,2}$/;
/** At most one `*`, so that matching takes no time worth speaking of. */
const KEY_PATTERN = /^!?[^*+{}\p{Cc}]{0,100}\*?[^*+{}\p{Cc}]{0,100}$/u;

export function checkHeaderName(field: string, name: string): void {
  if (!HEADER_NAME.test(name)) {
    throw new VerificationError(
      field,
      "header",
      "must be a header's name: letters, digits, hyphens, underscores, dots",
    );
  }
}

export function checkPath(field: string, path: string): void {
  const steps = path.split(".");
  if (steps.length > PATH_STEPS_MAX || !steps.every(isStep)) {
    const form = `a dotted path of 1 to ${PATH_STEPS_MAX} names (or list positions up to 99) without + and braces`;
    throw new VerificationError(field, "path", `must be ${form}`);
  }
}

function isStep(step: string): boolean {
  return STEP.test(step) && step !== "__proto__" && (INDEX.test(step) || !/^\d+$/.test(step));
}

/** Lookups as `../scheme.ts` describes them. */
export function checkLookups(field: string, lookups: readonly string[]): void {
  for (const [index, lookup] of lookups.entries()) {
    const name = `${field}[${index}]`;
    const parts = lookup.split("+");
    if (parts.length > LOOKUP_PARTS_MAX) {
      throw new VerificationError(name, "lookup", `must have at most ${LOOKUP_PARTS_MAX} parts joined by +`);
    }
    for (const part of parts) checkLookupPart(name, part);
  }
}

function checkLookupPart(field: string, part: string): void {
  const [kind, text] = [part.slice(0, 2), part.slice(2)];
  if (kind === "h:") checkHeaderName(field, text);
  else if (kind === "j:") checkPath(field, text);
  else if (kind !== "k:" || text === "" || !KEY_PATTERN.test(text)) {
    const form = "h:header-name, j:path.into.body or k:pattern (with at most one *), or several joined by +";
    throw new VerificationError(field, "lookup", `must be ${form}`);
  }
}

/** The pieces of a template. What would let bytes move from one piece to the next under one signature is refused. */
export function readTemplate(field: string, text: string): readonly Chunk[] {
  const chunks = parsed(field, text);
  if (chunks.length > TEMPLATE_PIECES_MAX) {
    throw new VerificationError(field, "template", `must have at most ${TEMPLATE_PIECES_MAX} pieces`);
  }
  for (const [index, chunk] of chunks.entries()) {
    if (chunk.from === "json") checkPath(field, chunk.path.join("."));
    if (chunk.from !== "header") continue;
    checkHeaderName(field, chunk.name);
    if (chunk.until === undefined && index + 1 < chunks.length) {
      const why = "or bytes could move between the two under one signature";
      throw new VerificationError(
        field,
        "template",
        `must have text between {header:${chunk.name}} and what follows, ${why}`,
      );
    }
  }
  return chunks;
}

function parsed(field: string, text: string): readonly Chunk[] {
  try {
    return parseTemplate(text).chunks;
  } catch {
    const variables = "{body} {ts} {url} {path} {method} {header:name} {json:path} {text:path} {sortedForm}";
    throw new VerificationError(field, "template", `must consist of text and ${variables}`);
  }
}
