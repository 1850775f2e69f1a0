/**
 * JSON values to messages: one reader compiled per message type. It differs from plain proto3 JSON in three ways.
 * Unknown keys are refused and named; fields that only the service may write (OUTPUT_ONLY) are taken and dropped,
 * so that an answer can be sent back; and a refusal knows the JSON path of what it refuses.
 */
import { type DescField, type DescMessage, type Registry, ScalarType } from "@bufbuild/protobuf";
import {
  createLocal,
  isJsonObject,
  isOutputOnly,
  isUnwrapped,
  type LocalMessage,
  type MessageField,
  setLocal,
  setOwn,
} from "./message-access.ts";
import { enumParser, InputError, type InputParser, scalarParser, scalarTextParser } from "./scalar-input.ts";
import { wellKnownParser } from "./well-known-input.ts";

/** Reads one field's JSON value, other than a null that means "unset", to the field's local form. */
export interface FieldReader {
  readonly read: InputParser;
  /** Whether null is a value of the field's type (google.protobuf.Value, NullValue) and not "unset". */
  readonly takesNull: boolean;
}

/** Reads a JSON object to a message; undefined if it has keys and every one of them is OUTPUT_ONLY. */
export type MessageReader = (json: unknown) => LocalMessage | undefined;

export interface JsonReaders {
  message(desc: DescMessage): MessageReader;
  field(field: DescField): FieldReader;
}

interface Entry extends FieldReader {
  readonly field: DescField;
  readonly outputOnly: boolean;
  /** The other name under which the field may stand, where it has two. */
  readonly otherName: string | undefined;
}

/** Makes readers that resolve google.protobuf.Any with `registry`. Compiled readers are kept per message type. */
export function createJsonReaders(registry: Registry): JsonReaders {
  const compiled = new Map<DescMessage, MessageReader>();
  const readers: JsonReaders = {
    message(desc) {
      let reader = compiled.get(desc);
      if (reader === undefined) {
        const entries = new Map<string, Entry>();
        reader = (json) => readMessage(desc, entries, json);
        // Kept before its fields are compiled, so that recursive types end.
        compiled.set(desc, reader);
        for (const field of desc.fields) {
          addEntry(entries, field, readers.field(field));
        }
      }
      return reader;
    },
    field: (field) => compileField(field, readers, registry),
  };
  return readers;
}

function addEntry(entries: Map<string, Entry>, field: DescField, reader: FieldReader): void {
  const outputOnly = isOutputOnly(field);
  const twoNames = field.name !== field.jsonName;
  entries.set(field.name, { ...reader, field, outputOnly, otherName: twoNames ? field.jsonName : undefined });
  entries.set(field.jsonName, { ...reader, field, outputOnly, otherName: twoNames ? field.name : undefined });
}

function readMessage(desc: DescMessage, entries: ReadonlyMap<string, Entry>, json: unknown): LocalMessage | undefined {
  const object = asObject(json);
  const message = createLocal(desc);
  const keys = Object.keys(object);
  let dropped = 0;
  for (const key of keys) {
    try {
      if (!readKey(message, entries.get(key), object, key)) {
        dropped++;
      }
    } catch (error) {
      throw below(key, error);
    }
  }
  return dropped > 0 && dropped === keys.length ? undefined : message;
}

/** Returns false if the key's value was dropped. */
function readKey(
  message: LocalMessage,
  entry: Entry | undefined,
  object: Readonly<Record<string, unknown>>,
  key: string,
): boolean {
  if (entry === undefined) {
    throw new InputError("unknown field", "unknown");
  }
  if (entry.outputOnly) {
    return false;
  }
  if (entry.otherName !== undefined && Object.hasOwn(object, entry.otherName)) {
    throw new InputError(`given twice, also as ${entry.otherName}`, "duplicate");
  }
  const value = object[key];
  if (value === null && !entry.takesNull) {
    return true;
  }
  const local = entry.read(value);
  if (local === undefined) {
    return false;
  }
  refuseSecondMember(message, entry.field);
  setLocal(message, entry.field, local);
  return true;
}

/** Throws InputError if another member of the field's oneof is set. */
export function refuseSecondMember(message: LocalMessage, field: DescField): void {
  if (field.oneof !== undefined) {
    const group = message[field.oneof.localName] as { readonly case?: string };
    const other = field.oneof.fields.find((member) => member.localName === group.case);
    if (other !== undefined && other !== field) {
      throw new InputError(`excludes ${other.jsonName}, only one of them may be given`, "oneof");
    }
  }
}

function compileField(field: DescField, readers: JsonReaders, registry: Registry): FieldReader {
  switch (field.fieldKind) {
    case "list": {
      const item = compileItem(field, readers, registry);
      return { read: (json) => readList(item, json), takesNull: false };
    }
    case "map": {
      const item = compileItem(field, readers, registry);
      const readKeyText = scalarTextParser(field.mapKey, false);
      return { read: (json) => readMap(readKeyText, item, json), takesNull: false };
    }
    default:
      return compileItem(field, readers, registry);
  }
}

/** The reader of a singular field, of a list's items or of a map's values. */
function compileItem(field: DescField, readers: JsonReaders, registry: Registry): FieldReader {
  if (field.enum !== undefined) {
    const isNull = field.enum.typeName === "google.protobuf.NullValue";
    const parse = enumParser(field.enum);
    return { read: isNull ? (json) => (json === null ? 0 : parse(json)) : parse, takesNull: isNull };
  }
  if (field.message !== undefined) {
    return compileMessageItem(field as MessageField, readers, registry);
  }
  const longAsString = "longAsString" in field && field.longAsString === true;
  return { read: scalarParser(field.scalar ?? ScalarType.STRING, longAsString), takesNull: false };
}

function compileMessageItem(field: MessageField, readers: JsonReaders, registry: Registry): FieldReader {
  if (isJsonObject(field)) {
    return { read: asObject, takesNull: false };
  }
  const wellKnown = wellKnownParser(field.message, registry);
  if (wellKnown === undefined) {
    return { read: readers.message(field.message), takesNull: false };
  }
  const read: InputParser = isUnwrapped(field) ? (json) => (wellKnown(json) as LocalMessage).value : wellKnown;
  return { read, takesNull: field.message.typeName === "google.protobuf.Value" };
}

function readList(item: FieldReader, json: unknown): unknown[] {
  if (!Array.isArray(json)) {
    throw new InputError("must be an array");
  }
  return json.map((value, index) => readItem(item, value, `[${index}]`));
}

function readMap(readKeyText: InputParser, item: FieldReader, json: unknown): Record<string, unknown> {
  const entries: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(asObject(json))) {
    const place = `[${JSON.stringify(key)}]`;
    const local = readItem({ read: readKeyText, takesNull: false }, key, place);
    if (Object.hasOwn(entries, String(local))) {
      throw below(place, new InputError("the key is given twice", "duplicate"));
    }
    setOwn(entries, String(local), readItem(item, value, place));
  }
  return entries;
}

function readItem(item: FieldReader, json: unknown, place: string): unknown {
  try {
    if (json === null && !item.takesNull) {
      throw new InputError("must not be null");
    }
    // A message of nothing but dropped fields keeps its place in the list as an empty one.
    return item.read(json) ?? item.read({});
  } catch (error) {
    throw below(place, error);
  }
}

function asObject(json: unknown): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InputError("must be an object");
  }
  return json as Record<string, unknown>;
}

/** Puts a key or an index before the path of an InputError and returns it; returns other errors as they are. */
export function below(place: string, error: unknown): unknown {
  if (error instanceof InputError) {
    error.path = error.path === "" || error.path.startsWith("[") ? place + error.path : `${place}.${error.path}`;
  }
  return error;
}
