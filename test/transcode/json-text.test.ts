import { describe, expect, test } from "vitest";
import { parseJsonBody } from "../../src/transcode/json-text.ts";
import { TranscodeError } from "../../src/transcode/transcode-error.ts";
import { errorOf } from "./library.ts";

const DEPTH_MAX = 4;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("bodies that are taken", () => {
  test.each([
    `{}`,
    `null`,
    ` [1, 2.5, -3e4] `,
    `{"a":{"a":{"a":[]}},"b":{"a":1}}`,
    `[{"a":1},{"a":1}]`,
    `{"a":"a","b":"b","c":["a","b","a"]}`,
    `{"a":"{\\"a\\":1,\\"a\\":2}"}`,
    `{"\\\\":1,"\\"":2,"\\\\\\"":3}`,
    `{"a":"[[[[[[[[[["}`,
    `{"a":"\\ud83d\\ude00","b":"\\\\ud83d","c":"\\u0061"}`,
    `{"x":"\\\\","y":"\\\\"}`,
    `"\\ud83d\\ude00"`,
    `{"__proto__":1}`,
  ])("%s", (text) => {
    expect(parseJsonBody(bytes(text), DEPTH_MAX)).toEqual(JSON.parse(text));
  });

  test("a byte order mark is skipped (RFC 8259 section 8.1)", () => {
    expect(parseJsonBody(bytes("\ufeff{}"), DEPTH_MAX)).toEqual({});
  });
});

describe("bodies that are refused", () => {
  test.each([
    [`{"a":1,"a":2}`, "a: the key is given twice", "a"],
    [`{"a":1,"b":{"c":[{},{"d":1,"e":2,"d":3}]}}`, "b.c[1].d: the key is given twice", "b.c[1].d"],
    [`{"a":1,"\\u0061":2}`, "a: the key is given twice", "a"],
    [`[{"a":[1,2],"b":"x","a":0}]`, "[0].a: the key is given twice", "[0].a"],
    [`{"a":{"b":1},"a":{}}`, "a: the key is given twice", "a"],
  ])("%s", (text, message, field) => {
    const error = errorOf(() => parseJsonBody(bytes(text), DEPTH_MAX));
    const violations = [{ field, rule: "duplicate", message: "the key is given twice" }];
    expect(error).toMatchObject({ code: "BAD_REQUEST", message, violations });
  });

  test.each([
    [`{"a":"\\ud83d"}`],
    [`{"a":"\\ude00"}`],
    [`{"a":"\\ud83dx"}`],
    [`{"a":"\\ud83d\\u0041"}`],
    [`{"\\udfff":1}`],
    [`{"a":"\\ud83d\\ud83d"}`],
  ])("%s", (text) => {
    expect(() => parseJsonBody(bytes(text), DEPTH_MAX)).toThrow("half of a surrogate pair");
  });

  test("one level too deep", () => {
    expect(parseJsonBody(bytes(`[[[[1]]]]`), DEPTH_MAX)).toEqual([[[[1]]]]);
    expect(() => parseJsonBody(bytes(`[[[[[]]]]]`), DEPTH_MAX)).toThrow("the body is nested deeper than 4 levels");
    expect(() => parseJsonBody(bytes("[".repeat(1e6) + "]".repeat(1e6)), 100)).toThrow("deeper than 100 levels");
  });

  test("invalid UTF-8", () => {
    expect(() => parseJsonBody(Uint8Array.of(0x22, 0xff, 0x22), DEPTH_MAX)).toThrow("the body is not valid UTF-8");
    expect(() => parseJsonBody(Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), DEPTH_MAX)).toThrow("not valid UTF-8");
  });

  test.each([`{"secret":whsec_1234`, `whsec_1234`, `{"a":1}}`, `{'a':1}`, ` `, `{"a":NaN}`, `[1,]`])(
    "malformed: %s, and the message does not quote it",
    (text) => {
      const error = errorOf(() => parseJsonBody(bytes(text), DEPTH_MAX));
      expect(error).toBeInstanceOf(TranscodeError);
      expect(String(error)).toMatch(/^TranscodeError: the body is not valid JSON( \(at character \d+\))?$/);
    },
  );
});
