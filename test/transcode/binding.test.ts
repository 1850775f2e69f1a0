import { isMessage, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { compileBinder } from "../../src/transcode/binding.ts";
import { httpBindings } from "../../src/transcode/http-rule.ts";
import { createJsonReaders } from "../../src/transcode/json-input.ts";
import { TranscodeError } from "../../src/transcode/transcode-error.ts";
import { errorOf, registry, serviceType } from "./library.ts";

interface Input {
  readonly values?: readonly string[];
  readonly query?: string;
  readonly body?: unknown;
}

const readers = createJsonReaders(registry);

/** Binds by the n-th rule of an RPC; the result as the library's own proto3 JSON. */
function bind(rpc: string, input: Input, rule = 0): JsonValue {
  const method = serviceType("LibraryService").methods.find((each) => each.name === rpc);
  const binding = method && httpBindings(method)[rule];
  if (method === undefined || binding === undefined) {
    throw new Error(`no rule ${rule} of ${rpc}`);
  }
  const binder = compileBinder(binding, readers, registry);
  const message = binder.bind({ values: [], query: "", body: undefined, ...input }) as unknown as Message;
  expect(isMessage(message)).toBe(true);
  return toJson(method.input, message, { registry });
}

function refusal(rpc: string, input: Input, rule = 0): string {
  const error = errorOf(() => bind(rpc, input, rule));
  if (!(error instanceof TranscodeError)) {
    throw error;
  }
  const [violation] = error.violations;
  expect(error.code).toBe("BAD_REQUEST");
  expect(error.violations).toHaveLength(1);
  expect(error.message).toBe(`${violation?.field === "" ? "body" : violation?.field}: ${violation?.message}`);
  return `${violation?.field} (${violation?.rule})`;
}

describe("query parameters", () => {
  test.each<[number, string, JsonValue]>([
    [51, "enumValue=COLOR_RED", { enumValue: "COLOR_RED" }],
    [51, "enum_value=1", { enumValue: "COLOR_RED" }],
    [
      51,
      "repeatedEnum=COLOR_BLUE&repeated_enum=2&repeatedEnum=0",
      { repeatedEnum: ["COLOR_BLUE", "COLOR_BLUE", "COLOR_UNSPECIFIED"] },
    ],
    [
      52,
      "doubleValue=NaN&floatValue=-Infinity&doubleWrapper=Infinity",
      { doubleValue: "NaN", floatValue: "-Infinity", doubleWrapper: "Infinity" },
    ],
    [
      52,
      "int64Value=9223372036854775807&uint64_value=18446744073709551615",
      { int64Value: "9223372036854775807", uint64Value: "18446744073709551615" },
    ],
    [52, "doubleValue=-1.5e3", { doubleValue: -1500 }],
    [53, "bytesValue=%2B%2F%2B%2F", { bytesValue: "+/+/" }],
    [53, "bytesValue=-_-_", { bytesValue: "+/+/" }],
    [53, "bytesValue=YQ", { bytesValue: "YQ==" }],
    [53, "bytesValue=YQ%3D%3D", { bytesValue: "YQ==" }],
    [54, "timestampValue=2026-11-23T01:02:03.5%2B01:00", { timestampValue: "2026-11-23T00:02:03.500Z" }],
    [54, "durationValue=3.000000001s", { durationValue: "3.000000001s" }],
    [54, "fieldMaskValue=foo,bar.bazQux", { fieldMaskValue: "foo,bar.bazQux" }],
    [
      54,
      "int32Wrapper=1&int64Wrapper=-2&stringWrapper=x+y&boolWrapper=false&bytesWrapper=YQ&doubleWrapper=0",
      {
        int32Wrapper: 1,
        int64Wrapper: "-2",
        stringWrapper: "x y",
        boolWrapper: false,
        bytesWrapper: "YQ==",
        doubleWrapper: 0,
      },
    ],
    [
      54,
      "repeatedWrapper=a&repeatedWrapper=&repeatedTimestamp=2026-11-23T00:00:00Z",
      { repeatedWrapper: ["a", ""], repeatedTimestamp: ["2026-11-23T00:00:00Z"] },
    ],
    [
      58,
      "nested.nested.repeated_value=a&nested.nested.repeatedValue=b&nested.name=n",
      { nested: { name: "n", nested: { repeatedValue: ["a", "b"] } } },
    ],
    [0, "choiceNested.name=a&choiceNested.amount=1", { choiceNested: { name: "a", amount: 1 } }],
    [0, "choiceWrapper=a", { choiceWrapper: "a" }],
    [0, "optionalString=&optionalInt32=0", { optionalString: "", optionalInt32: 0 }],
    [0, "&&stringValue=%C3%A9&", { stringValue: "é" }],
    [0, "nested.readOnly=x", {}],
    [0, "", {}],
  ])("row %i: %s", (_row, query, expected) => {
    expect(bind("EchoQuery", { query })).toEqual(expected);
  });

  test.each([
    [50, "int32Value=2147483648", "int32Value (type)"],
    [50, "int32Value=-2147483649", "int32Value (type)"],
    [50, "int32_value=x", "int32_value (type)"],
    [50, "int32Value=0x10", "int32Value (type)"],
    [50, "int32Value=", "int32Value (type)"],
    [50, "int32Value=1.5", "int32Value (type)"],
    [50, "uint32Value=-1", "uint32Value (type)"],
    [50, "int64Value=9223372036854775808", "int64Value (type)"],
    [50, "uint64Value=-1", "uint64Value (type)"],
    [50, `int64Value=${"9".repeat(10_000)}`, "int64Value (type)"],
    [50, "boolValue=yes", "boolValue (type)"],
    [50, "boolValue", "boolValue (type)"],
    [50, "enumValue=nope", "enumValue (type)"],
    [50, "enumValue=2147483648", "enumValue (type)"],
    [50, "floatValue=1e39", "floatValue (type)"],
    [50, "doubleValue=1e400", "doubleValue (type)"],
    [53, "bytesValue=a", "bytesValue (type)"],
    [53, "bytesValue=YQ%3D", "bytesValue (type)"],
    [53, "bytesValue=!!!!", "bytesValue (type)"],
    [54, "durationValue=3m", "durationValue (type)"],
    [54, "durationValue=3sx", "durationValue (type)"],
    [54, "durationValue=3.0000000001s", "durationValue (type)"],
    [54, "fieldMaskValue=foo_bar", "fieldMaskValue (type)"],
    [55, "timestampValue=null", "timestampValue (type)"],
    [55, "timestampValue=0000-01-01T00:00:00Z", "timestampValue (type)"],
    [55, "timestampValue=2026-13-01T00:00:00Z", "timestampValue (type)"],
    [56, "stringValue=a&string_value=b", "string_value (duplicate)"],
    [56, "nested.name=a&nested.name=b", "nested.name (duplicate)"],
    [57, "choiceText=a&choiceWrapper=b", "choiceWrapper (oneof)"],
    [57, "choiceText=a&choiceNested.name=b", "choiceNested.name (oneof)"],
    [57, "choiceNested.name=a&choiceText=b", "choiceText (oneof)"],
    [59, "floatValue.nested=x", "floatValue.nested (unknown)"],
    [59, "repeatedMessage.name=x", "repeatedMessage.name (unknown)"],
    [59, "repeatedMessage=x", "repeatedMessage (type)"],
    [59, "mapValue=x", "mapValue (type)"],
    [59, "mapValue.a=x", "mapValue.a (unknown)"],
    [59, "mapValue%5Ba%5D=x", "mapValue[a] (unknown)"],
    [59, "structValue=x", "structValue (type)"],
    [59, "structValue.fields=x", "structValue.fields (unknown)"],
    [59, "valueValue=x", "valueValue (type)"],
    [59, "nested=x", "nested (type)"],
    [59, "timestampValue.seconds=1", "timestampValue.seconds (unknown)"],
    [60, "noSuch=x", "noSuch (unknown)"],
    [60, "nested.noSuch=x", "nested.noSuch (unknown)"],
    [60, "__proto__=x", "__proto__ (unknown)"],
    [60, "constructor=x", "constructor (unknown)"],
    [60, "=x", " (unknown)"],
    [60, `${"nested.".repeat(40)}name=x`, `${"nested.".repeat(40).slice(0, 200)}… (unknown)`],
  ])("row %i: %s is refused", (_row, query, expected) => {
    expect(refusal("EchoQuery", { query })).toBe(expected);
  });

  test("a malformed escape, and too many parameters", () => {
    expect(() => bind("EchoQuery", { query: "stringValue=%zz" })).toThrow("the query has a malformed percent escape");
    expect(() => bind("EchoQuery", { query: "stringValue=%ff" })).toThrow("the query has a malformed percent escape");
    const many = (count: number): string => Array.from({ length: count }, () => "repeatedValue=a").join("&");
    expect(bind("EchoQuery", { query: many(1000) })).toEqual({ repeatedValue: Array(1000).fill("a") });
    expect(() => bind("EchoQuery", { query: many(1001) })).toThrow("the query has more than 1000 parameters");
  });

  test("row 61: what the path binds is not overwritten", () => {
    const values = ["good"];
    expect(bind("EchoQuery", { values, query: "stringValue=evil&string_value=evil" }, 1)).toEqual({
      stringValue: "good",
    });
  });
});

describe("path, query and body together", () => {
  test("row 45: query beside a body field, by either name", () => {
    const input = { values: ["shelves/1"], query: "bookId=1&request_id=2", body: { author: "A" } };
    expect(bind("CreateBook", input)).toEqual({
      parent: "shelves/1",
      book: { author: "A" },
      bookId: 1,
      requestId: "2",
    });
  });

  test("row 45: the query does not reach into the body's field", () => {
    expect(bind("CreateBook", { values: ["shelves/1"], query: "book.author=evil" })).toEqual({ parent: "shelves/1" });
  });

  test("row 46: an array into a repeated field", () => {
    expect(bind("MoveBooks", { values: ["shelves/1"], body: ["b1", "b2"] })).toEqual({
      parent: "shelves/1",
      books: ["b1", "b2"],
    });
    expect(refusal("MoveBooks", { values: ["shelves/1"], body: ["b1", 2] })).toBe("[1] (type)");
    expect(refusal("MoveBooks", { values: ["shelves/1"], body: { books: [] } })).toBe(" (type)");
  });

  test("row 47: HttpBody takes the bytes and their type", () => {
    const body = { contentType: "text/plain", data: Uint8Array.of(0x7b, 0xff) };
    expect(bind("Upload", { values: ["message.txt"], body })).toEqual({
      filename: "message.txt",
      file: { contentType: "text/plain", data: "e/8=" },
    });
    expect(bind("Mirror", { body })).toEqual({ contentType: "text/plain", data: "e/8=" });
  });

  test("row 48: the path wins over the body", () => {
    expect(bind("EchoBody", { values: ["path"], body: { stringValue: "body", int32Value: 1 } }, 1)).toEqual({
      stringValue: "path",
      int32Value: 1,
    });
  });

  test('row 49: body "*" leaves the query alone', () => {
    expect(bind("EchoBody", { query: "int32Value=5&noSuch=x", body: { boolValue: true } })).toEqual({
      boolValue: true,
    });
  });

  test("row 39: no body is an empty message, or an unset field", () => {
    expect(bind("EchoBody", {})).toEqual({});
    expect(bind("CreateBook", { values: ["shelves/1"] })).toEqual({ parent: "shelves/1" });
  });

  test("a path value of the wrong type is named", () => {
    const method = serviceType("SameShapeService").methods[1];
    const binding = method && httpBindings(method)[0];
    const binder = binding && compileBinder(binding, readers, registry);
    expect(() => binder?.bind({ values: ["yes"], query: "", body: undefined })).toThrow(
      "boolValue: must be true or false",
    );
  });
});

describe("JSON bodies", () => {
  test("every type", () => {
    const body: JsonValue = {
      stringValue: "s",
      int32Value: 1.0,
      uint32Value: "4294967295",
      int64Value: "-9223372036854775808",
      uint64Value: 9007199254740991,
      floatValue: "1.5",
      doubleValue: "NaN",
      boolValue: true,
      bytesValue: "-_",
      enumValue: 2,
      optionalString: "",
      optionalInt32: 0,
      optionalEnum: "COLOR_UNSPECIFIED",
      repeatedValue: ["a", ""],
      repeatedEnum: ["COLOR_RED", 7],
      repeatedMessage: [{ name: "a" }, {}],
      mapValue: { a: "1", __proto__x: "2" },
      mapMessage: { "-1": { amount: 1 } },
      nested: { nested: { nested: { name: "deep" } } },
      timestampValue: "2026-11-23T00:00:00.123456789Z",
      durationValue: "-1.500s",
      fieldMaskValue: "a,bC",
      structValue: { a: [null, { b: 1 }] },
      valueValue: null,
      listValue: [1, "a", null],
      anyValue: { "@type": "type.googleapis.com/transcode.test.v1.Book", name: "b" },
      int32Wrapper: 0,
      int64Wrapper: "5",
      stringWrapper: "",
      boolWrapper: false,
      bytesWrapper: "YQ==",
      doubleWrapper: 2.5,
      repeatedWrapper: ["x"],
      repeatedTimestamp: ["2026-11-23T00:00:00Z"],
      mapStruct: { k: { v: [1] } },
      nullValue: null,
      choiceWrapper: "w",
    };
    expect(bind("EchoBody", { body })).toEqual({
      ...body,
      int32Value: 1,
      uint32Value: 4294967295,
      uint64Value: "9007199254740991",
      floatValue: 1.5,
      bytesValue: "+w==",
      enumValue: "COLOR_BLUE",
      nullValue: undefined,
    });
  });

  test("proto names are taken too, and a key named __proto__ in a map stays a key", () => {
    const body: unknown = JSON.parse(`{"string_value":"s","map_value":{"__proto__":"p"}}`);
    const bound = bind("EchoBody", { body }) as { mapValue: object };
    expect(JSON.stringify(bound)).toBe(`{"stringValue":"s","mapValue":{"__proto__":"p"}}`);
    expect(Object.getPrototypeOf(bound.mapValue)).toBe(Object.prototype);
  });

  test("null unsets, in every kind of field", () => {
    const fields = ["stringValue", "optionalInt32", "enumValue", "nested", "repeatedValue", "mapValue", "int32Wrapper"];
    const body = Object.fromEntries([...fields, "choiceText", "structValue", "timestampValue"].map((f) => [f, null]));
    expect(bind("EchoBody", { body })).toEqual({});
    expect(bind("EchoBody", { body: { choiceText: null, choiceWrapper: "x" } })).toEqual({ choiceWrapper: "x" });
  });

  test("OUTPUT_ONLY fields are taken, whatever they hold, and dropped", () => {
    const body = {
      nested: { name: "n", readOnly: "x", read_only: 5 },
      repeatedMessage: [{ readOnly: 1 }, { amount: 2 }],
    };
    expect(bind("EchoBody", { body })).toEqual({ nested: { name: "n" }, repeatedMessage: [{}, { amount: 2 }] });
    expect(bind("EchoBody", { body: { nested: { readOnly: "x" } } })).toEqual({});
    expect(bind("EchoBody", { body: { nested: {} } })).toEqual({ nested: {} });
  });

  test.each<[number, unknown, string]>([
    [70, { noSuch: 1 }, "noSuch (unknown)"],
    [70, { nested: { nested: { noSuch: 1 } } }, "nested.nested.noSuch (unknown)"],
    [70, { repeatedMessage: [{}, { noSuch: 1 }] }, "repeatedMessage[1].noSuch (unknown)"],
    [70, { mapMessage: { 5: { noSuch: 1 } } }, `mapMessage["5"].noSuch (unknown)`],
    [70, { toString: 1 }, "toString (unknown)"],
    [70, { choice: "x" }, "choice (unknown)"],
    [70, { ["k".repeat(1000)]: 1 }, `${"k".repeat(200)}… (unknown)`],
    [0, [], " (type)"],
    [0, null, " (type)"],
    [0, "x", " (type)"],
    [0, { stringValue: 1 }, "stringValue (type)"],
    [0, { boolValue: "true" }, "boolValue (type)"],
    [0, { boolValue: 1 }, "boolValue (type)"],
    [0, { int32Value: 2147483648 }, "int32Value (type)"],
    [0, { int32Value: 1.5 }, "int32Value (type)"],
    [0, { int32Value: " 1" }, "int32Value (type)"],
    [0, { int32Value: true }, "int32Value (type)"],
    [0, { int64Value: 9007199254740992 }, "int64Value (type)"],
    [0, { int64Value: "1.0" }, "int64Value (type)"],
    [0, { doubleValue: "nan" }, "doubleValue (type)"],
    [0, { floatValue: 1e39 }, "floatValue (type)"],
    [0, { bytesValue: "a b" }, "bytesValue (type)"],
    [0, { enumValue: "1" }, "enumValue (type)"],
    [0, { enumValue: 1.5 }, "enumValue (type)"],
    [0, { enumValue: "toString" }, "enumValue (type)"],
    [0, { repeatedValue: "a" }, "repeatedValue (type)"],
    [0, { repeatedValue: ["a", null] }, "repeatedValue[1] (type)"],
    [0, { repeatedMessage: [null] }, "repeatedMessage[0] (type)"],
    [0, { mapValue: [] }, "mapValue (type)"],
    [0, { mapValue: { a: null } }, `mapValue["a"] (type)`],
    [0, { mapValue: { 'a"b': 1 } }, `mapValue["a\\"b"] (type)`],
    [0, { mapMessage: { x: {} } }, `mapMessage["x"] (type)`],
    [0, { mapMessage: { "1": {}, "01": {} } }, `mapMessage["01"] (duplicate)`],
    [0, { nested: "x" }, "nested (type)"],
    [0, { nested: { nested: { amount: "x" } } }, "nested.nested.amount (type)"],
    [0, { timestampValue: 5 }, "timestampValue (type)"],
    [0, { timestampValue: "2026-11-23" }, "timestampValue (type)"],
    [0, { repeatedTimestamp: ["x"] }, "repeatedTimestamp[0] (type)"],
    [0, { structValue: [] }, "structValue (type)"],
    [0, { listValue: {} }, "listValue (type)"],
    [0, { int32Wrapper: "x" }, "int32Wrapper (type)"],
    [0, { anyValue: { "@type": "type.googleapis.com/no.Such" } }, "anyValue (type)"],
    [0, { string_value: "a", stringValue: "b" }, "string_value (duplicate)"],
    [57, { choiceText: "a", choiceWrapper: "b" }, "choiceWrapper (oneof)"],
  ])("row %i: %o is refused", (_row, body, expected) => {
    expect(refusal("EchoBody", { body })).toBe(expected);
  });

  test("a refusal does not repeat the value", () => {
    const value = "whsec_secretsecret";
    for (const field of [
      "int32Value",
      "boolValue",
      "bytesValue",
      "enumValue",
      "timestampValue",
      "nested",
      "anyValue",
    ]) {
      expect(String(errorOf(() => bind("EchoBody", { body: { [field]: `${value}!` } })))).not.toContain(value);
    }
  });
});

describe("row 62: the update mask of a PATCH", () => {
  const values = ["1"];
  const patch = (body: unknown, query = ""): JsonValue => bind("UpdateThing", { values, body, query });

  test.each<[string, unknown, string, JsonValue]>([
    [
      "scalars, the path's own left out",
      { id: "9", name: "n", floatValue: 3.14 },
      "name,floatValue",
      { id: "1", name: "n", floatValue: 3.14 },
    ],
    [
      "leaves of nested messages",
      { singleNested: { name: "n", nested: { amount: 1 } } },
      "singleNested.name,singleNested.nested.amount",
      { id: "1", singleNested: { name: "n", nested: { amount: 1 } } },
    ],
    [
      "proto names",
      { single_nested: { repeated_value: ["a"] } },
      "singleNested.repeatedValue",
      { id: "1", singleNested: { repeatedValue: ["a"] } },
    ],
    ["an empty message", { singleNested: {} }, "singleNested", { id: "1", singleNested: {} }],
    [
      "maps, lists and well-known types",
      {
        labels: { a: "b" },
        items: [{ name: "x" }],
        dueAt: "2026-11-23T00:00:00Z",
        extra: { a: { b: 1 } },
        anyJson: { c: 1 },
      },
      "labels,items,dueAt,extra,anyJson",
      {
        id: "1",
        labels: { a: "b" },
        items: [{ name: "x" }],
        dueAt: "2026-11-23T00:00:00Z",
        extra: { a: { b: 1 } },
        anyJson: { c: 1 },
      },
    ],
    [
      "null clears",
      { name: null, singleNested: null, labels: null, secret: null, dueAt: null },
      "name,singleNested,labels,secret,dueAt",
      { id: "1" },
    ],
    ["null is a value of google.protobuf.Value", { anyJson: null }, "anyJson", { id: "1", anyJson: null }],
    ["a oneof member", { secret: "s" }, "secret", { id: "1", secret: "s" }],
    [
      "OUTPUT_ONLY is taken and left out",
      { etag: "e", createdAt: null, created_at: 5, singleNested: { readOnly: "x", name: "n" } },
      "singleNested.name",
      { id: "1", singleNested: { name: "n" } },
    ],
    ["nothing but OUTPUT_ONLY", { etag: "e", singleNested: { readOnly: "x" } }, "", { id: "1" }],
    ["an empty object", {}, "", { id: "1" }],
    ["no body", undefined, "", { id: "1" }],
    ["null as the body", null, "", { id: "1" }],
  ])("%s", (_name, body, mask, thing) => {
    expect(patch(body)).toEqual({ thing, updateMask: mask });
  });

  test("a mask in the query is kept as it is", () => {
    expect(patch({ name: "n", floatValue: 1 }, "updateMask=name")).toEqual({
      thing: { id: "1", name: "n", floatValue: 1 },
      updateMask: "name",
    });
  });

  test("row 70: an unknown key is refused, named as in the body", () => {
    expect(refusal("UpdateThing", { values, body: { singleNested: { noSuch: 1 } } })).toBe(
      "singleNested.noSuch (unknown)",
    );
    expect(refusal("UpdateThing", { values, body: { updateMask: "name" } })).toBe("updateMask (unknown)");
  });
});
