/** Query parameters to fields of the request message. */
import type { DescMessage, Registry } from "@bufbuild/protobuf";
import { refuseSecondMember } from "./json-input.ts";
import { isOutputOnly, type LocalMessage, setLocal } from "./message-access.ts";
import { InputError, type InputParser } from "./scalar-input.ts";
import { type FieldPlace, findField, holderOf, textParser } from "./text-field.ts";
import { badField, badRequest } from "./transcode-error.ts";

/** Parameters in one query string. */
const QUERY_PARAMETERS_MAX = 1_000;
/** Names in one dotted parameter name. */
const FIELD_PATH_DEPTH_MAX = 32;
/** Parameter names whose target is remembered for the next request, per route. */
const REMEMBERED_NAMES_MAX = 256;

/** Fills the message from a query string (without its "?"). Throws TranscodeError, naming the parameter. */
export type QueryReader = (message: LocalMessage, query: string) => void;

interface QueryTarget extends FieldPlace {
  readonly parse: InputParser;
  /** Bound by the path or the body, or OUTPUT_ONLY: taken and not used. */
  readonly ignored: boolean;
}

/**
 * Makes the reader of one route. `isBound` says of a dotted proto path whether the URL's path or the body fills it:
 * such parameters are ignored, unknown ones are refused.
 */
export function createQueryReader(
  desc: DescMessage,
  isBound: (protoPath: string) => boolean,
  registry: Registry,
): QueryReader {
  const targets = new Map<string, QueryTarget>();
  const targetOf = (name: string): QueryTarget => {
    let target = targets.get(name);
    if (target === undefined) {
      target = findTarget(desc, name, isBound, registry);
      if (targets.size < REMEMBERED_NAMES_MAX) {
        targets.set(name, target);
      }
    }
    return target;
  };
  return (message, query) => {
    if (query !== "") {
      readQuery(targetOf, message, query);
    }
  };
}

function readQuery(targetOf: (name: string) => QueryTarget, message: LocalMessage, query: string): void {
  const given = new Set<string>();
  for (const [name, text] of parseQuery(query)) {
    try {
      apply(targetOf(name), message, text, given);
    } catch (error) {
      throw error instanceof InputError ? badField(name, error.rule, error.message) : error;
    }
  }
}

function findTarget(
  desc: DescMessage,
  name: string,
  isBound: (protoPath: string) => boolean,
  registry: Registry,
): QueryTarget {
  const names = name.split(".", FIELD_PATH_DEPTH_MAX + 1);
  if (names.length > FIELD_PATH_DEPTH_MAX) {
    throw new InputError("unknown query parameter", "unknown");
  }
  const place = findQueryField(desc, names);
  const parse = textParser(place.field, registry);
  const ignored = isBound(place.protoPath) || [...place.through, place.field].some(isOutputOnly);
  if (parse === undefined && !ignored) {
    throw new InputError("a message or map cannot be given in the query");
  }
  return { ...place, parse: parse ?? String, ignored };
}

function findQueryField(desc: DescMessage, names: readonly string[]): FieldPlace {
  try {
    return findField(desc, names);
  } catch {
    throw new InputError("unknown query parameter", "unknown");
  }
}

function apply(target: QueryTarget, message: LocalMessage, text: string, given: Set<string>): void {
  if (target.ignored) {
    return;
  }
  const value = target.parse(text);
  for (const [depth, field] of target.through.entries()) {
    refuseSecondMember(holderOf(message, { ...target, through: target.through.slice(0, depth) }), field);
  }
  const holder = holderOf(message, target);
  if (target.field.fieldKind === "list") {
    (holder[target.field.localName] as unknown[]).push(value);
    return;
  }
  if (given.has(target.protoPath)) {
    throw new InputError("given twice, but takes one value", "duplicate");
  }
  given.add(target.protoPath);
  refuseSecondMember(holder, target.field);
  setLocal(holder, target.field, value);
}

/** Splits application/x-www-form-urlencoded text. Throws TranscodeError on a malformed escape or too many pairs. */
export function parseQuery(query: string): [name: string, value: string][] {
  const parts = query.split("&", QUERY_PARAMETERS_MAX + 1);
  if (parts.length > QUERY_PARAMETERS_MAX) {
    throw badRequest(`the query has more than ${QUERY_PARAMETERS_MAX} parameters`);
  }
  const pairs: [string, string][] = [];
  for (const part of parts) {
    if (part !== "") {
      const equals = part.indexOf("=");
      const name = equals === -1 ? part : part.slice(0, equals);
      pairs.push([decode(name), equals === -1 ? "" : decode(part.slice(equals + 1))]);
    }
  }
  return pairs;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw badRequest("the query has a malformed percent escape");
  }
}
