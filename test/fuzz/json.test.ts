/** JSON readers: only their documented errors, and the same answers as the parsers of the language and of protobuf-es. */
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createJsonReaders } from "../../src/transcode/json-input.ts";
import { createJsonWriters } from "../../src/transcode/json-output.ts";
import { parseJsonBody, strictJsonText } from "../../src/transcode/json-text.ts";
import { InputError } from "../../src/transcode/scalar-input.ts";
import { TranscodeError } from "../../src/transcode/transcode-error.ts";
import { messageType, registry } from "../transcode/library.ts";
import { runs } from "./runs.ts";

const DEPTH_MAX = 20;

/** The value, or undefined where it was refused with the only error there may be. */
function read<Value>(run: () => Value, documented: new (...rest: never[]) => Error): { value: Value } | undefined {
  try {
    return { value: run() };
  } catch (error) {
    expect(error).toBeInstanceOf(documented);
    return undefined;
  }
}

const parse = (bytes: Uint8Array) => read(() => parseJsonBody(bytes, DEPTH_MAX), TranscodeError);

/** Text near JSON: pieces of it in any order. */
const pieces = fc.constantFrom(
  ...[
    '{"a":',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    '"a"',
    '"b":',
    '"\\ud83d',
    '\\ude00"',
    '"\\u0061":',
    "\\",
    "\\\\",
    '\\"',
  ],
  ...[
    "1",
    "-",
    "e",
    ".5",
    "1e400",
    "null",
    "tru",
    "true",
    "__proto__",
    '"__proto__":',
    " ",
    "\n",
    "\0",
    "\u2028",
    "é",
    "\ud800",
  ],
);
const nearJson = fc.array(pieces, { maxLength: 40 }).map((list) => list.join(""));

test("any bytes are a value or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parse(bytes)),
    runs(2_000),
  );
});

test("any text near JSON is read as JSON.parse does, or refused", () => {
  const property = fc.property(nearJson, (text) => {
    const parsed = parse(Buffer.from(text));
    if (parsed) expect(parsed.value).toEqual(JSON.parse(Buffer.from(text).toString()));
  });
  fc.assert(property, runs(10_000));
});

test("whatever JSON.stringify writes is taken", () => {
  const property = fc.property(fc.jsonValue({ maxDepth: DEPTH_MAX - 2 }), (json) => {
    const text = JSON.stringify(json);
    expect(parse(Buffer.from(text))?.value).toEqual(JSON.parse(text));
  });
  fc.assert(property, runs(2_000));
});

test("one byte that is changed, left out or added is taken as JSON.parse takes it, or refused", () => {
  const changed = fc.tuple(fc.jsonValue({ maxDepth: 4 }), fc.nat(), fc.nat(1), fc.uint8Array({ maxLength: 1 }));
  const property = fc.property(changed, ([json, place, left, added]) => {
    const bytes = Buffer.from(JSON.stringify(json));
    const at = place % bytes.length;
    const other = Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + left)]);
    const parsed = parse(other);
    if (parsed) expect(parsed.value).toEqual(JSON.parse(strictJsonText(other, DEPTH_MAX)));
  });
  fc.assert(property, runs(5_000));
});

const everything = messageType("Everything");
const readers = createJsonReaders(registry);
const readEverything = readers.message(everything);
const writeEverything = createJsonWriters(registry).message(everything);

/** Values of which each suits some field, or nearly so. */
const nearValue: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constantFrom<JsonValue>(
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    2 ** 63,
    1e300,
    "",
    "0",
    "1",
    "01",
    "+1",
    " 1",
  ),
  fc.constantFrom<JsonValue>(
    "1.0",
    "1e2",
    "1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "0x1",
    "9223372036854775807",
    "18446744073709551616",
  ),
  fc.constantFrom<JsonValue>(
    "COLOR_RED",
    "COLOR_NONE",
    "AA==",
    "AA",
    "A",
    "A===",
    "-_-_",
    "+/+/",
    "AA=A",
    "é",
    "\u0000",
    "true",
    "false",
  ),
  fc.constantFrom<JsonValue>(
    "2026-01-02T03:04:05Z",
    "2026-02-30T00:00:00Z",
    "2026-01-02T03:04:05.123456789+01:00",
    "2026-01-02t03:04:05z",
  ),
  fc.constantFrom<JsonValue>(
    "9999-12-31T23:59:60Z",
    "0001-01-01T00:00:00Z",
    "1s",
    "1.5s",
    "-0.5s",
    "315576000001s",
    "1",
    "s",
    "a,b",
    "aB",
    "a_b",
  ),
  fc.constantFrom<JsonValue>(
    { name: "n" },
    { amount: "5", nested: { amount: 6 } },
    { "@type": "x" },
    { "1": {} },
    { a: "b" },
    { __proto__: 1 },
  ),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>,
);
const singular = everything.fields.filter((field) => field.oneof === undefined).map((field) => field.jsonName);
const nearEverything = fc.dictionary(
  fc.constantFrom(...singular),
  fc.oneof(nearValue, fc.array(nearValue, { maxLength: 3 })),
  { maxKeys: 3 },
);

test("a message is read as protobuf-es reads it, or refused", () => {
  let taken = 0;
  const property = fc.property(nearEverything, (json) => {
    const message = read(() => readEverything(json), InputError);
    if (message?.value === undefined) return;
    taken += 1;
    const reference = fromJson(everything, json as JsonValue, { registry });
    expect(message.value).toEqual(reference);
  });
  fc.assert(property, runs(10_000));
  expect(taken).toBeGreaterThan(500);
});

test("what is written is read back as it was", () => {
  const property = fc.property(nearEverything, (json) => {
    const message = read(() => readEverything(json), InputError);
    if (message?.value === undefined) return;
    const written = JSON.parse(JSON.stringify(writeEverything(message.value)));
    expect(writeEverything(readEverything(written) as typeof message.value)).toEqual(written);
  });
  fc.assert(property, runs(3_000));
});

test("no key reaches the prototype of anything", () => {
  const key = fc.constantFrom(
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "mapValue",
    "structValue",
    "map_value",
  );
  const nested = fc.letrec<{ node: JsonValue }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      fc.constant<JsonValue>("polluted"),
      fc.array(fc.tuple(key, tie("node")), { maxLength: 3 }).map(Object.fromEntries),
    ),
  })).node;
  const before = Object.getOwnPropertyNames(Object.prototype);
  const property = fc.property(nested, (json) => {
    const parsed = parse(Buffer.from(JSON.stringify({ structValue: json })));
    if (parsed) read(() => readEverything(parsed.value), InputError);
    const struct = parsed && read(() => readEverything({ structValue: json }), InputError);
    if (struct?.value !== undefined) {
      expect(JSON.stringify(struct.value.structValue)).toBe(JSON.stringify(json));
      expect(toJson(everything, struct.value as never)).toEqual({ structValue: json });
    }
  });
  fc.assert(property, runs(1_000));
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
});
