/**
 * Messages to JSON values: one writer compiled per message type. The form is proto3 JSON with every field present:
 * unset `optional` and message fields are null, zero values, [] and {} are written; only the members of a real
 * oneof are left out when unset. Fields stand in the order of their declaration.
 */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonValue,
  type Message,
  type Registry,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence, isWrapperDesc } from "@bufbuild/protobuf/wkt";
import {
  getLocal,
  hasCustomJson,
  isJsonObject,
  isUnwrapped,
  type LocalMessage,
  type MessageField,
  setOwn,
} from "./message-access.ts";
import { createTimestampWriter } from "./timestamp-output.ts";

/** Turns a local value into a JSON value. Throws Error on values that the type cannot hold, such as a year 10000. */
export type ValueWriter = (local: unknown) => JsonValue;

export interface JsonWriters {
  /** The writer of whole messages. */
  message(desc: DescMessage): (message: LocalMessage) => JsonValue;
  /** The writer of one field of a message, null where it is unset. */
  field(field: DescField): (message: LocalMessage) => JsonValue;
}

type FieldWriter = (message: LocalMessage, json: Record<string, JsonValue>) => void;

/** Makes writers that resolve google.protobuf.Any with `registry`. Compiled writers are kept per message type. */
export function createJsonWriters(registry: Registry): JsonWriters {
  const compiled = new Map<DescMessage, (message: LocalMessage) => JsonValue>();
  // What is frozen stays as it is: defaults that most messages share are written once.
  const written = new WeakMap<LocalMessage, JsonValue>();
  const once = (fields: readonly FieldWriter[], message: LocalMessage): JsonValue => {
    const json = written.get(message) ?? writeFields(fields, message);
    written.set(message, json);
    return json;
  };
  const writers: JsonWriters = {
    message(desc) {
      let writer = compiled.get(desc);
      if (writer === undefined) {
        const fields: FieldWriter[] = [];
        const wellKnown = wellKnownWriter(desc, registry);
        writer =
          wellKnown ?? ((message) => (Object.isFrozen(message) ? once(fields, message) : writeFields(fields, message)));
        // Kept before its fields are compiled, so that recursive types end.
        compiled.set(desc, writer);
        if (wellKnown === undefined) {
          fields.push(...desc.fields.map((field) => compileField(field, writers)));
        }
      }
      return writer;
    },
    field(field) {
      const write = compileValue(field, writers);
      return (message) => {
        const local = getLocal(message, field);
        return local === undefined ? null : write(local);
      };
    },
  };
  return writers;
}

function writeFields(fields: readonly FieldWriter[], message: LocalMessage): JsonValue {
  const json: Record<string, JsonValue> = {};
  for (const write of fields) {
    write(message, json);
  }
  return json;
}

function compileField(field: DescField, writers: JsonWriters): FieldWriter {
  const write = compileValue(field, writers);
  const { jsonName, localName } = field;
  if (field.oneof !== undefined) {
    return (message, json) => {
      const local = getLocal(message, field);
      if (local !== undefined) {
        json[jsonName] = write(local);
      }
    };
  }
  if (field.presence === FeatureSet_FieldPresence.IMPLICIT) {
    if (write === asIs) {
      return (message, json) => {
        json[jsonName] = message[localName] as JsonValue;
      };
    }
    return (message, json) => {
      json[jsonName] = write(message[localName]);
    };
  }
  return (message, json) => {
    const local = getLocal(message, field);
    json[jsonName] = local === undefined ? null : write(local);
  };
}

function asIs(local: unknown): JsonValue {
  return local as JsonValue;
}

function compileValue(field: DescField, writers: JsonWriters): ValueWriter {
  const item = compileItem(field, writers);
  if (field.fieldKind === "list") {
    return (local) => (item === asIs ? (local as JsonValue[]) : (local as unknown[]).map(item));
  }
  if (field.fieldKind === "map") {
    return (local) => writeMap(item, local as Record<string, unknown>);
  }
  return item;
}

function writeMap(item: ValueWriter, local: Record<string, unknown>): JsonValue {
  const json: Record<string, JsonValue> = {};
  for (const key of Object.keys(local)) {
    setOwn(json, key, item(local[key]));
  }
  return json;
}

/** The writer of a singular value, of a list's items or of a map's values. */
function compileItem(field: DescField, writers: JsonWriters): ValueWriter {
  if (field.enum !== undefined) {
    return enumWriter(field.enum);
  }
  if (field.message === undefined) {
    return scalarWriter(field.scalar ?? ScalarType.STRING);
  }
  if (isJsonObject(field)) {
    return asIs;
  }
  const { message } = field as MessageField;
  if (isUnwrapped(field) && isWrapperDesc(message)) {
    return scalarWriter(message.fields[0].scalar);
  }
  return writers.message(message) as ValueWriter;
}

function enumWriter(desc: DescEnum): ValueWriter {
  if (desc.typeName === "google.protobuf.NullValue") {
    return () => null;
  }
  const names = new Map(desc.values.map((value) => [value.number, value.jsonName]));
  return (local) => names.get(local as number) ?? (local as number);
}

function scalarWriter(type: ScalarType): ValueWriter {
  switch (type) {
    case ScalarType.BYTES:
      return (local) => base64(local as Uint8Array);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return (local) => String(local);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return (local) => (Number.isFinite(local) ? (local as number) : String(local));
    default:
      return asIs;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** The writer of a well-known type with a JSON form of its own, or undefined for other messages. */
function wellKnownWriter(desc: DescMessage, registry: Registry): ((message: LocalMessage) => JsonValue) | undefined {
  if (!hasCustomJson(desc)) {
    return undefined;
  }
  if (isWrapperDesc(desc)) {
    const write = scalarWriter(desc.fields[0].scalar);
    return (message) => write(message.value);
  }
  if (desc.typeName === "google.protobuf.Value") {
    return (message) => (isEmptyValue(message) ? null : toJson(desc, message as unknown as Message));
  }
  if (desc.typeName === "google.protobuf.Timestamp") {
    return createTimestampWriter() as unknown as (message: LocalMessage) => JsonValue;
  }
  return (message) => toJson(desc, message as unknown as Message, { registry });
}

/** A google.protobuf.Value in which nothing is set has no JSON form of its own; it is shown as null. */
function isEmptyValue(message: LocalMessage): boolean {
  return (message.kind as { readonly case?: string }).case === undefined;
}
