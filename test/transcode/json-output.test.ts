import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { createJsonWriters } from "../../src/transcode/json-output.ts";
import { localOf } from "../../src/transcode/message-access.ts";
import { messageType, registry } from "./library.ts";

const writers = createJsonWriters(registry);

/** The text written for a message given as proto3 JSON, which the library reads. */
function written(type: string, json: JsonValue): string {
  const desc = messageType(type);
  return JSON.stringify(writers.message(desc)(localOf(fromJson(desc, json, { registry }))));
}

const UNSET = {
  stringValue: "",
  int32Value: 0,
  uint32Value: 0,
  int64Value: "0",
  uint64Value: "0",
  floatValue: 0,
  doubleValue: 0,
  boolValue: false,
  bytesValue: "",
  enumValue: "COLOR_UNSPECIFIED",
  optionalString: null,
  optionalInt32: null,
  optionalEnum: null,
  repeatedValue: [],
  repeatedEnum: [],
  repeatedMessage: [],
  mapValue: {},
  mapMessage: {},
  nested: null,
  timestampValue: null,
  durationValue: null,
  fieldMaskValue: null,
  structValue: null,
  valueValue: null,
  listValue: null,
  anyValue: null,
  int32Wrapper: null,
  int64Wrapper: null,
  stringWrapper: null,
  boolWrapper: null,
  bytesWrapper: null,
  doubleWrapper: null,
  repeatedWrapper: [],
  repeatedTimestamp: [],
  mapStruct: {},
  nullValue: null,
};

const NESTED = { name: "", amount: 0, readOnly: "", nested: null, repeatedValue: [] };

describe("row 69: every field is written, but for unset members of oneofs", () => {
  test("an empty message, in order of declaration", () => {
    expect(written("Everything", {})).toBe(JSON.stringify(UNSET));
  });

  test.each<[string, Record<string, JsonValue>, Record<string, JsonValue>]>([
    [
      "zero values of optional fields",
      { optionalString: "", optionalInt32: 0, optionalEnum: 0 },
      { optionalString: "", optionalInt32: 0, optionalEnum: "COLOR_UNSPECIFIED" },
    ],
    [
      "64-bit integers as strings",
      { int64Value: "-9223372036854775808", uint64Value: "18446744073709551615" },
      { int64Value: "-9223372036854775808", uint64Value: "18446744073709551615" },
    ],
    [
      "numbers that JSON lacks",
      { doubleValue: "NaN", floatValue: "-Infinity", doubleWrapper: "Infinity" },
      { doubleValue: "NaN", floatValue: "-Infinity", doubleWrapper: "Infinity" },
    ],
    [
      "bytes in standard base64",
      { bytesValue: "-_8", bytesWrapper: "_w" },
      { bytesValue: "+/8=", bytesWrapper: "/w==" },
    ],
    [
      "enums by name, unknown ones by number",
      { enumValue: 1, repeatedEnum: [2, 9] },
      { enumValue: "COLOR_RED", repeatedEnum: ["COLOR_BLUE", 9] },
    ],
    ["nested messages", { nested: { nested: {} } }, { nested: { ...NESTED, nested: NESTED } }],
    [
      "lists and maps of messages",
      { repeatedMessage: [{}], mapMessage: { "-5": { name: "a" } } },
      { repeatedMessage: [NESTED], mapMessage: { "-5": { ...NESTED, name: "a" } } },
    ],
    [
      "times",
      {
        timestampValue: "2026-11-23T00:00:00.000001Z",
        repeatedTimestamp: ["1970-01-01T00:00:00Z"],
        durationValue: "-0.5s",
      },
      {
        timestampValue: "2026-11-23T00:00:00.000001Z",
        repeatedTimestamp: ["1970-01-01T00:00:00Z"],
        durationValue: "-0.500s",
      },
    ],
    ["field masks", { fieldMaskValue: "a,bC.d" }, { fieldMaskValue: "a,bC.d" }],
    [
      "Struct, Value, ListValue",
      { structValue: { a: [1, null] }, valueValue: { b: "x" }, listValue: [true], mapStruct: { k: { v: 0 } } },
      { structValue: { a: [1, null] }, valueValue: { b: "x" }, listValue: [true], mapStruct: { k: { v: 0 } } },
    ],
    [
      "wrappers",
      { int32Wrapper: 0, int64Wrapper: "7", stringWrapper: "", boolWrapper: false, repeatedWrapper: ["a", ""] },
      { int32Wrapper: 0, int64Wrapper: "7", stringWrapper: "", boolWrapper: false, repeatedWrapper: ["a", ""] },
    ],
    [
      "Any",
      { anyValue: { "@type": "type.googleapis.com/transcode.test.v1.Book", author: "A" } },
      { anyValue: { author: "A", "@type": "type.googleapis.com/transcode.test.v1.Book" } },
    ],
  ])("%s", (_name, json, expected) => {
    expect(JSON.parse(written("Everything", json))).toEqual({ ...UNSET, ...expected });
  });

  test.each<[Record<string, JsonValue>, string]>([
    [{ choiceText: "" }, `"choiceText":""}`],
    [{ choiceNested: {} }, `"choiceNested":${JSON.stringify(NESTED)}}`],
    [{ choiceWrapper: "w" }, `"choiceWrapper":"w"}`],
  ])("a member of a oneof that is set: %o", (json, end) => {
    expect(written("Everything", json)).toBe(`${JSON.stringify(UNSET).slice(0, -1)},${end}`);
  });

  test("a map key named __proto__ is a key", () => {
    const desc = messageType("Everything");
    const message = localOf(create(desc));
    message.mapValue = JSON.parse(`{"__proto__":"p"}`);
    expect(JSON.stringify(writers.message(desc)(message))).toContain(`"mapValue":{"__proto__":"p"}`);
  });
});

test("row 63: one repeated field is a bare array", () => {
  const desc = messageType("ListCheckoutsResponse");
  const [field] = desc.fields;
  const write = field && writers.field(field);
  const message = localOf(fromJson(desc, { checkouts: [{ id: "123", books: [{ name: "b" }] }, {}] }));
  expect(JSON.stringify(write?.(message))).toBe(
    `[{"id":"123","createTime":null,"labels":{},"books":[{"name":"b","author":""}]},` +
      `{"id":"0","createTime":null,"labels":{},"books":[]}]`,
  );
});

test("one message field that is unset is null", () => {
  const [field] = messageType("UpdateThingResponse").fields;
  expect(field && writers.field(field)(localOf(create(messageType("UpdateThingResponse"))))).toBeNull();
});
