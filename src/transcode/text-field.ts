/** Fields given as text, in the path or in the query. */
import { type DescField, type DescMessage, type Registry, ScalarType } from "@bufbuild/protobuf";
import {
  childOf,
  fieldsByName,
  hasCustomJson,
  isUnwrapped,
  type LocalMessage,
  type MessageField,
} from "./message-access.ts";
import { enumTextParser, InputError, type InputParser, scalarTextParser } from "./scalar-input.ts";
import { wellKnownTextParser } from "./well-known-input.ts";

/** A field inside a message: the messages to go through, then the field. */
export interface FieldPlace {
  readonly through: readonly MessageField[];
  readonly field: DescField;
  /** Path in proto names, and in JSON names as callers see it. */
  readonly protoPath: string;
  readonly jsonPath: string;
}

/**
 * Finds a field by path; each step may be a proto name or a JSON name. Throws InputError where a step is unknown or
 * goes through something that is no singular message.
 */
export function findField(desc: DescMessage, names: readonly string[]): FieldPlace {
  const through: MessageField[] = [];
  let current = desc;
  for (const [depth, name] of names.entries()) {
    const field = fieldsByName(current).get(name);
    if (field === undefined) {
      throw new InputError(`unknown field "${name}"`, "unknown");
    }
    if (depth === names.length - 1) {
      const all = [...through, field];
      const protoPath = all.map((each) => each.name).join(".");
      return { through, field, protoPath, jsonPath: all.map((each) => each.jsonName).join(".") };
    }
    if (field.fieldKind !== "message" || hasCustomJson(field.message)) {
      throw new InputError(`"${name}" has no fields of its own to name here`, "unknown");
    }
    through.push(field);
    current = field.message;
  }
  throw new InputError("empty field path", "unknown");
}

/** The message that holds the field, its parents made as needed. */
export function holderOf(message: LocalMessage, place: FieldPlace): LocalMessage {
  let holder = message;
  for (const field of place.through) {
    holder = childOf(holder, field);
  }
  return holder;
}

/**
 * The parser from text to the local form of a field (of a list's items). Undefined for maps, and for messages that
 * no text stands for.
 */
export function textParser(field: DescField, registry: Registry): InputParser | undefined {
  if (field.fieldKind === "map") {
    return undefined;
  }
  if (field.enum !== undefined) {
    return enumTextParser(field.enum);
  }
  if (field.message === undefined) {
    return scalarTextParser(field.scalar ?? ScalarType.STRING, field.longAsString);
  }
  const parse = wellKnownTextParser(field.message, registry);
  if (parse === undefined || !isUnwrapped(field)) {
    return parse;
  }
  return (text) => (parse(text) as LocalMessage).value;
}
