/** Every field that a request message has, found in its descriptor, and values that the field cannot take. */
import { create, type DescField, type DescMessage, ScalarType, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema, ValueSchema } from "@bufbuild/protobuf/wkt";

/** A field inside a request: the fields to go through, the field itself last. */
export type Place = readonly DescField[];

/** A value that the field cannot take. JSON is text in which each character is one byte. */
export interface BadValue {
  readonly name: string;
  readonly json?: string;
  /** What follows the field's tag: a value of the given wire type. */
  readonly binary?: { readonly wireType: WireType; readonly bytes: Uint8Array };
}

type WireType = 0 | 1 | 2 | 5;

/** Types whose JSON is no object of their fields. */
const OPAQUE = /^google\.protobuf\.(Timestamp|FieldMask|Value|Struct|Any)$/;

/** All fields of the message and of the messages in it. */
export function placesOf(desc: DescMessage, through: Place = []): readonly Place[] {
  return desc.fields.flatMap((field) => {
    const place = [...through, field];
    const isParent = field.fieldKind === "message" && !OPAQUE.test(field.message.typeName);
    return isParent && through.length < 3 ? [place, ...placesOf(field.message, place)] : [place];
  });
}

export const jsonPathOf = (place: Place): string => place.map((field) => field.jsonName).join(".");

const text = (value: string): Buffer => Buffer.from(value, "latin1");
const lengthDelimited = (bytes: Uint8Array) =>
  ({ wireType: 2, bytes: Buffer.concat([varint(bytes.length), bytes]) }) as const;

/** Base 128, as protobuf writes lengths and tags. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** The bytes of a message that holds nothing but the value at the place; they may follow those of another message. */
export function binaryAt(place: Place, { wireType, bytes }: NonNullable<BadValue["binary"]>): Buffer {
  const [field, ...rest] = place;
  if (field === undefined) throw new TypeError("a place has at least one field");
  if (rest.length === 0) return Buffer.concat([varint(field.number * 8 + wireType), bytes]);
  const inner = binaryAt(rest, { wireType, bytes });
  return Buffer.concat([varint(field.number * 8 + 2), varint(inner.length), inner]);
}

/** More than any header block may hold, if it were repeated in an error. */
const LARGE_CHARS = 256 * 1024;

const BAD_TEXT: readonly BadValue[] = [
  { name: "a NUL", json: '"a\\u0000b"', binary: lengthDelimited(text("a\0b")) },
  { name: "a lone surrogate", json: '"a\\ud800b"', binary: lengthDelimited(text("a\xed\xa0\x80b")) },
  { name: "bytes that are no UTF-8", json: '"a\xffb"', binary: lengthDelimited(text("a\xffb")) },
];

const json = (...texts: string[]): BadValue[] => texts.map((each) => ({ name: `the JSON ${each}`, json: each }));

const LARGE_TEXT: BadValue = {
  name: "an enormous text",
  json: `"${"x".repeat(LARGE_CHARS)}"`,
  binary: lengthDelimited(Buffer.alloc(LARGE_CHARS, "x")),
};

/** Values of the right form that the field's type does not have. */
export function badValuesOf(field: DescField): readonly BadValue[] {
  switch (field.fieldKind) {
    case "list":
      return [
        ...json('"x"', "{}", "1", "[null]", "[[]]"),
        ...scalarOrMessage(field).map((bad) => (bad.json === undefined ? bad : { ...bad, json: `[${bad.json}]` })),
      ];
    case "map":
      return [...json('"x"', "[]", '{"a":null}', '{"a":{}}'), ...BAD_TEXT.flatMap(mapEntries)];
    default:
      return scalarOrMessage(field);
  }
}

/** The bad text as an entry's key, and as its value. */
function mapEntries({ name, json: value, binary }: BadValue): BadValue[] {
  const part = (number: number) => Buffer.concat([varint(number * 8 + 2), binary?.bytes ?? Buffer.alloc(0)]);
  return [
    { name: `${name} in a key`, json: `{${value}:"x"}`, binary: lengthDelimited(part(1)) },
    { name: `${name} in a value`, json: `{"x":${value}}`, binary: lengthDelimited(part(2)) },
  ];
}

function scalarOrMessage(field: DescField): readonly BadValue[] {
  if (field.message !== undefined) return BAD_MESSAGES[field.message.typeName] ?? json('"x"', "1", "[{}]");
  switch (field.scalar) {
    case ScalarType.STRING:
      return [...BAD_TEXT, LARGE_TEXT, ...json("1", "true", "{}", "[1]")];
    case ScalarType.BYTES:
      return json('"%"', '"a"', '"aa=a"', "1", "{}");
    case ScalarType.BOOL:
      return json('"true"', "1", "{}");
    case ScalarType.INT32:
      return [...json("1.5", "2147483648", "1e400", '"x"', '""', "true", "[1]"), HUGE_VARINT];
    default:
      throw new TypeError(`no bad values for ${field}`);
  }
}

/** Eleven bytes: a varint has ten at most. */
const HUGE_VARINT: BadValue = {
  name: "a varint without end",
  binary: { wireType: 0, bytes: Buffer.concat([Buffer.alloc(10, 0xff), Buffer.of(1)]) },
};

const timestamp = (name: string, seconds: bigint, nanos: number): BadValue => ({
  name,
  binary: lengthDelimited(toBinary(TimestampSchema, create(TimestampSchema, { seconds, nanos }))),
});
const value = (name: string, kind: Parameters<typeof create<typeof ValueSchema>>[1]): BadValue => ({
  name,
  binary: lengthDelimited(toBinary(ValueSchema, create(ValueSchema, kind))),
});

const BAD_MESSAGES: Readonly<Record<string, readonly BadValue[]>> = {
  "google.protobuf.Timestamp": [
    ...json('"x"', '"2026-13-01T00:00:00Z"', '"2026-01-01"', '"10000-01-01T00:00:00Z"', '"0000-01-01T00:00:00Z"', "1"),
    timestamp("a time after the year 9999", 253_402_300_800n, 0),
    timestamp("a time before the year 1", -62_135_596_801n, 0),
    timestamp("the last second of int64", 2n ** 63n - 1n, 0),
    timestamp("a second of nanoseconds", 4_102_444_800n, 1_000_000_000),
    timestamp("negative nanoseconds", 4_102_444_800n, -1),
  ],
  "google.protobuf.FieldMask": [
    ...json('"no_such"', '"noSuch"', "1", '["name"]', '"name,"'),
    { name: "an unknown path", binary: lengthDelimited(Buffer.concat([text("\x0a\x02zz")])) },
    { name: "a NUL in a path", binary: lengthDelimited(Buffer.concat([text("\x0a\x03a\0b")])) },
    {
      name: "an enormous path",
      json: `"${"x".repeat(LARGE_CHARS)}"`,
      binary: lengthDelimited(Buffer.concat([text("\x0a"), varint(LARGE_CHARS), Buffer.alloc(LARGE_CHARS, "x")])),
    },
  ],
  "google.protobuf.Value": [
    value("a value of no kind", {}),
    value("a number that is none", { kind: { case: "numberValue", value: Number.NaN } }),
    value("an infinite number", { kind: { case: "numberValue", value: Number.POSITIVE_INFINITY } }),
    value("an item of no kind", { kind: { case: "listValue", value: { values: [{}] } } }),
    value("a member of no kind", { kind: { case: "structValue", value: { fields: { a: {} } } } }),
    { name: "lists without end", json: `${"[".repeat(5_000)}${"]".repeat(5_000)}`, binary: nestedLists(5_000) },
    {
      name: "a lone surrogate in it",
      json: '{"a":["\\udc00"]}',
      binary: lengthDelimited(text("\x1a\x03\xed\xb0\x80")),
    },
    { name: "a lone surrogate in a key", json: '{"a":{"\\udc00":1}}' },
  ],
};

/** Value → list_value (6) → values (1) → … */
function nestedLists(depth: number) {
  let bytes: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) {
    const list = Buffer.concat([varint(10), varint(bytes.length), bytes]);
    bytes = Buffer.concat([varint(50), varint(list.length), list]);
  }
  return lengthDelimited(bytes);
}
