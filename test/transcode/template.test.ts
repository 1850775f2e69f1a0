import { describe, expect, test } from "vitest";
import { parseTemplate, type Template, TemplateError } from "../../src/transcode/template.ts";

/** `a,*,** a.b=0..2 :verb`; a variable that can match several segments is marked with "+". */
function shown({ segments, variables, verb }: Template): string {
  const path = segments.map((s) => (s.kind === "literal" ? s.text : s.kind === "one" ? "*" : "**")).join(",");
  const captured = variables.map(
    (v) => ` ${v.fieldPath.join(".")}=${v.start}..${v.end ?? ""}${v.multiSegment ? "+" : ""}`,
  );
  return `${path}${captured.join("")}${verb === "" ? "" : ` :${verb}`}`;
}

describe("templates that are taken", () => {
  test.each([
    [1, "/{hello}/world", "*,world hello=0..1"],
    [2, "/v1/{name=shelves/*/books/*}", "v1,shelves,*,books,* name=1..5+"],
    [3, "/v1/{book.name=shelves/*/books/*}", "v1,shelves,*,books,* book.name=1..5+"],
    [4, "/v1:watch", "v1 :watch"],
    [4, "/v3/{name=events/*}:cancel", "v3,events,* name=1..3+ :cancel"],
    [5, "/foo/bar/*/{thing.id}/{cat=**}:do", "foo,bar,*,*,** thing.id=3..4 cat=4..+ :do"],
    [16, "/v1/{name}:bla:baa", "v1,* name=1..2 :bla:baa"],
    [16, "/v1/{name}:", "v1,* name=1..2"],
    [16, "/v1/{name=wi:th/*}", "v1,wi:th,* name=1..3+"],
    [0, "/v1/{name=shelves}", "v1,shelves name=1..2"],
    [0, "/v1/caf%C3%A9", "v1,café"],
    [0, "/**", "**"],
  ])("row %i: %s", (_row, text, expected) => {
    expect(shown(parseTemplate(text))).toBe(expected);
  });
});

describe("templates that are refused", () => {
  test.each([
    [6, "/{1}", `"1" in "{1}" is no identifier`],
    [6, "/{field.1}", `"1" in "{field.1}" is no identifier`],
    [6, "/{-}", `"-" in "{-}" is no identifier`],
    [6, "/{field-}", `"field-" in "{field-}" is no identifier`],
    [6, "/{}", `"" in "{}" is no identifier`],
    [7, "/foo?abc=def", `"foo?abc=def" is no literal, "*", "**" or variable`],
    [7, "/foo bar", `"foo bar" is no literal, "*", "**" or variable`],
    [7, "foo/bar", `template must start with "/"`],
    [7, "/foo/bar/", "empty segment (two slashes, or a slash at the end)"],
    [7, "/foo//bar", "empty segment (two slashes, or a slash at the end)"],
    [7, "/", "empty segment (two slashes, or a slash at the end)"],
    [7, "", `template must start with "/"`],
    [8, "/foo/bar:baz/buzz", `a verb may stand only at the very end, not in "bar:baz"`],
    [8, "/foo/{bar}:baz/buzz", `a verb may stand only at the very end, not in "{bar}:baz"`],
    [9, "/foo/bar*", `"bar*" is no literal, "*", "**" or variable`],
    [9, "/a/***", `"***" is no literal, "*", "**" or variable`],
    [9, "/a/**/b", `"**" may stand only as the last segment`],
    [9, "/a/{b=**}/c", `"**" may stand only as the last segment`],
    [10, "/{a}/{a}", `variable "a" stands twice`],
    [11, "/x%1", `"x%1" is no literal, "*", "**" or variable`],
    [11, "/x%FF", `"x%FF" has a percent escape that is not UTF-8`],
    [12, "/{a={b}/x}", "variable inside a variable at offset 4"],
    [0, "/{a", `"{" without "}"`],
    [0, "/a}", `"}" without "{" at offset 2`],
    [0, "/{a}b", `text after the variable in "{a}b"`],
    [0, "/{a=}", "empty segment (two slashes, or a slash at the end)"],
  ])("row %i: %s", (_row, text, message) => {
    expect(() => parseTemplate(text)).toThrow(new TemplateError(message));
  });
});
