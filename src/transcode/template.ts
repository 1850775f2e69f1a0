/**
 * Path templates of google.api.http (the grammar in google/api/http.proto, "Path template syntax"):
 *
 *     Template = "/" Segments [ ":" Verb ]      Segments = Segment { "/" Segment }
 *     Segment  = "*" | "**" | Literal | "{" FieldPath [ "=" Segments ] "}"
 *
 * `**` stands last only, and variables do not nest.
 */

/** One piece of a path: a literal in decoded form, `*` (exactly one segment) or `**` (what is left, maybe nothing). */
export type TemplateSegment = { readonly kind: "literal"; readonly text: string } | { readonly kind: "one" | "rest" };

/** The segments `start` (inclusive) to `end` (exclusive; undefined: all that are left) captured into a field. */
export interface TemplateVariable {
  readonly fieldPath: readonly string[];
  readonly start: number;
  readonly end: number | undefined;
  /** True where more than one segment can match: then `%2F` stays encoded in the value. */
  readonly multiSegment: boolean;
}

export interface Template {
  readonly segments: readonly TemplateSegment[];
  readonly variables: readonly TemplateVariable[];
  /** What stands after the colon; "" if nothing does. May hold colons itself. */
  readonly verb: string;
}

/** A template that does not follow the grammar. `message` says what and where. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** RFC 3986 pchar without "*", which is a wildcard here. */
const LITERAL = /^(?:[A-Za-z0-9\-._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})+$/;

/** Parses a template. Throws TemplateError. */
export function parseTemplate(text: string): Template {
  if (!text.startsWith("/")) {
    throw new TemplateError(`template must start with "/"`);
  }
  const parts = splitOutsideBraces(text.slice(1));
  const verb = takeVerb(parts);
  const segments: TemplateSegment[] = [];
  const variables: TemplateVariable[] = [];
  for (const part of parts) {
    if (part.startsWith("{")) {
      variables.push(parseVariable(part, segments));
    } else {
      segments.push(parseSegment(part));
    }
  }
  rejectEarlyRest(segments);
  rejectRepeatedVariables(variables);
  return { segments, variables, verb };
}

/** Splits at every "/" that is not inside a variable's braces. */
function splitOutsideBraces(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let inVariable = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{") {
      if (inVariable) {
        throw new TemplateError(`variable inside a variable at offset ${i + 1}`);
      }
      inVariable = true;
    } else if (char === "}") {
      if (!inVariable) {
        throw new TemplateError(`"}" without "{" at offset ${i + 1}`);
      }
      inVariable = false;
    } else if (char === "/" && !inVariable) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (inVariable) {
    throw new TemplateError(`"{" without "}"`);
  }
  parts.push(text.slice(start));
  return parts;
}

/** Cuts the verb off the last part and returns it. The first colon outside braces begins it. */
function takeVerb(parts: string[]): string {
  const last = parts.at(-1) ?? "";
  const colon = last.indexOf(":", last.indexOf("}") + 1);
  for (const part of parts.slice(0, -1)) {
    if (part.includes(":", part.indexOf("}") + 1)) {
      throw new TemplateError(`a verb may stand only at the very end, not in "${part}"`);
    }
  }
  if (colon === -1) {
    return "";
  }
  const verb = last.slice(colon + 1);
  parts[parts.length - 1] = last.slice(0, colon);
  return verb === "" ? "" : decodeLiteral(verb);
}

function parseSegment(part: string): TemplateSegment {
  if (part === "") {
    throw new TemplateError("empty segment (two slashes, or a slash at the end)");
  }
  if (part === "*") {
    return { kind: "one" };
  }
  if (part === "**") {
    return { kind: "rest" };
  }
  return { kind: "literal", text: decodeLiteral(part) };
}

function decodeLiteral(part: string): string {
  if (!LITERAL.test(part)) {
    throw new TemplateError(`"${part}" is no literal, "*", "**" or variable`);
  }
  try {
    return decodeURIComponent(part);
  } catch {
    throw new TemplateError(`"${part}" has a percent escape that is not UTF-8`);
  }
}

/** Parses `{field.path=segments}` and appends its segments. */
function parseVariable(part: string, segments: TemplateSegment[]): TemplateVariable {
  if (!part.endsWith("}")) {
    throw new TemplateError(`text after the variable in "${part}"`);
  }
  const inner = part.slice(1, -1);
  const equals = inner.indexOf("=");
  const path = equals === -1 ? inner : inner.slice(0, equals);
  const fieldPath = path.split(".");
  for (const name of fieldPath) {
    if (!IDENTIFIER.test(name)) {
      throw new TemplateError(`"${name}" in "${part}" is no identifier`);
    }
  }
  const own =
    equals === -1
      ? [{ kind: "one" } as const]
      : inner
          .slice(equals + 1)
          .split("/")
          .map(parseSegment);
  const start = segments.length;
  segments.push(...own);
  const toTheEnd = own.at(-1)?.kind === "rest";
  return { fieldPath, start, end: toTheEnd ? undefined : segments.length, multiSegment: own.length > 1 || toTheEnd };
}

function rejectEarlyRest(segments: readonly TemplateSegment[]): void {
  if (segments.slice(0, -1).some((segment) => segment.kind === "rest")) {
    throw new TemplateError(`"**" may stand only as the last segment`);
  }
}

function rejectRepeatedVariables(variables: readonly TemplateVariable[]): void {
  const seen = new Set<string>();
  for (const { fieldPath } of variables) {
    const name = fieldPath.join(".");
    if (seen.has(name)) {
      throw new TemplateError(`variable "${name}" stands twice`);
    }
    seen.add(name);
  }
}
