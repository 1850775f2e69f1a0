/**
 * Reading and writing fields of protobuf-es messages whose type is known only at run time. Values are in the
 * library's local form: 64-bit integers as bigint (string with jstype), wrapper fields outside a oneof as the bare
 * scalar, google.protobuf.Struct fields as a JSON object, oneofs as `{case, value}`.
 */
import { create, type DescField, type DescMessage, getOption, hasOption, type Message } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { FieldBehavior, field_behavior } from "../../gen/google/api/field_behavior_pb.ts";

/** A message seen as a record of local values. */
export type LocalMessage = Record<string, unknown>;

export type MessageField = DescField & { readonly fieldKind: "message" };

export function localOf(message: Message): LocalMessage {
  return message as unknown as LocalMessage;
}

export function createLocal(desc: DescMessage): LocalMessage {
  return localOf(create(desc));
}

const indexes = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>();

/** The fields of a message by proto name and by JSON name. */
export function fieldsByName(desc: DescMessage): ReadonlyMap<string, DescField> {
  let index = indexes.get(desc);
  if (index === undefined) {
    const names = new Map<string, DescField>();
    for (const field of desc.fields) {
      names.set(field.name, field).set(field.jsonName, field);
    }
    indexes.set(desc, names);
    index = names;
  }
  return index;
}

/** The field's value, or undefined where a singular field has none. Implicit scalars always have one. */
export function getLocal(message: LocalMessage, field: DescField): unknown {
  if (field.oneof !== undefined) {
    const group = message[field.oneof.localName] as { case?: string; value?: unknown };
    return group.case === field.localName ? group.value : undefined;
  }
  return Object.hasOwn(message, field.localName) ? message[field.localName] : undefined;
}

/** Sets the field, replacing another member of its oneof. */
export function setLocal(message: LocalMessage, field: DescField, value: unknown): void {
  if (field.oneof !== undefined) {
    message[field.oneof.localName] = { case: field.localName, value };
  } else {
    message[field.localName] = value;
  }
}

/** The message in the field, made if there is none. Not for fields whose local form is no message. */
export function childOf(message: LocalMessage, field: MessageField): LocalMessage {
  const existing = getLocal(message, field);
  if (existing !== undefined) {
    return existing as LocalMessage;
  }
  const child = createLocal(field.message);
  setLocal(message, field, child);
  return child;
}

/** Whether the field's local form is the bare scalar of a wrapper message such as google.protobuf.Int32Value. */
export function isUnwrapped(field: DescField): boolean {
  return field.fieldKind === "message" && field.oneof === undefined && isWrapperDesc(field.message);
}

/** Whether the field's local form (of each item, for lists and maps) is a JSON object instead of a Struct message. */
export function isJsonObject(field: DescField): boolean {
  return field.message?.typeName === "google.protobuf.Struct" && field.parent.typeName !== "google.protobuf.Value";
}

/** Sets an own property, also for the name `__proto__`, which plain assignment would lose. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

const CUSTOM_JSON = new Set(
  ["Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue"].map(
    (name) => `google.protobuf.${name}`,
  ),
);

/** Whether the message is a well-known type whose JSON form is not an object of its fields. */
export function hasCustomJson(desc: DescMessage): boolean {
  return CUSTOM_JSON.has(desc.typeName) || isWrapperDesc(desc);
}

const outputOnly = new WeakMap<DescField, boolean>();

/** Whether callers may not write the field (google.api.field_behavior, AIP-203). */
export function isOutputOnly(field: DescField): boolean {
  let known = outputOnly.get(field);
  if (known === undefined) {
    known = hasOption(field, field_behavior) && getOption(field, field_behavior).includes(FieldBehavior.OUTPUT_ONLY);
    outputOnly.set(field, known);
  }
  return known;
}
