import { describe, expect, test } from "vitest";
import { createRouteTable, type RouteTable } from "../../src/transcode/route-table.ts";
import { parseTemplate } from "../../src/transcode/template.ts";
import { TranscodeError } from "../../src/transcode/transcode-error.ts";
import { errorOf } from "./library.ts";

/** Routes as "METHOD template"; GET where none is given. */
function tableOf(...routes: string[]): RouteTable<string> {
  return createRouteTable(
    routes.map((name) => {
      const [method, path] = name.startsWith("/") ? ["GET", name] : name.split(" ");
      return { name, method: method ?? "", template: parseTemplate(path ?? ""), target: name };
    }),
  );
}

/** `template [values]`, `405 allow`, `204 allow` or `404`. */
function outcome(table: RouteTable<string>, method: string, path: string): string {
  const match = table.match(method, path);
  switch (match.kind) {
    case "route":
      return [match.target, ...match.values.map((value) => `[${value}]`)].join(" ");
    case "notFound":
      return "404";
    default:
      return `${match.kind === "options" ? 204 : 405} ${match.allow}`;
  }
}

const WIDE = tableOf(
  "/foo/bar/baz/buzz",
  "/foo/bar/{name}",
  "/foo/bar/{name}/baz/{child}",
  "/foo/bar/{name}/{child}",
  "/foo/bar/*/{thing.id}/{cat=**}",
  "/foo/bar/*/{thing.id}/{cat=**}:do",
);

describe("paths of GET routes", () => {
  test.each([
    [17, WIDE, "/foo/bar/baz", "/foo/bar/{name} [baz]"],
    [18, WIDE, "/foo/bar/baz/buzz", "/foo/bar/baz/buzz"],
    [19, WIDE, "/foo/bar/baz/baz/buzz", "/foo/bar/{name}/baz/{child} [baz] [buzz]"],
    [20, tableOf("/trailing/**:slash"), "/trailing:slash", "/trailing/**:slash"],
    [20, tableOf("/trailing/**:slash"), "/trailing/a/b:slash", "/trailing/**:slash"],
    [20, tableOf("/trailing/**:slash"), "/trailing/:slash", "404"],
    [20, tableOf("/v1/{name=o/**}"), "/v1/o", "/v1/{name=o/**} [o]"],
    [20, tableOf("/{name=**}"), "/", "/{name=**} []"],
    [21, WIDE, "/foo/bar/baz/123/fizz/buzz:do", "/foo/bar/*/{thing.id}/{cat=**}:do [123] [fizz/buzz]"],
    [22, WIDE, "/foo/bar/baz/123/buzz/buzz:blah", "/foo/bar/*/{thing.id}/{cat=**} [123] [buzz/buzz:blah]"],
    [23, tableOf("/foo/{id}"), "/foo/bar:123", "/foo/{id} [bar:123]"],
    [23, tableOf("/foo/{id}", "/foo/{id}:verb"), "/foo/bar:verb", "/foo/{id}:verb [bar]"],
    [23, tableOf("/foo/{id}", "/foo/{id}:verb"), "/foo/bar:123", "/foo/{id} [bar:123]"],
    [16, tableOf("/v1/{name}:bla:baa", "/v1/{name}:baa"), "/v1/x:bla:baa", "/v1/{name}:bla:baa [x]"],
    [16, tableOf("/v1/{name}:baa"), "/v1/x:bla:baa", "/v1/{name}:baa [x:bla]"],
    [24, tableOf("/verb"), "/verb:", "404"],
    [24, tableOf("/verb:go"), "/verb:", "404"],
    [24, tableOf("/verb:go"), "/verb", "404"],
    [25, WIDE, "/foo/bar/baz/%2f/%2A/%2f", "/foo/bar/*/{thing.id}/{cat=**} [/] [*/%2F]"],
    [
      26,
      tableOf("/v1/{name=shelves/*/books/*}"),
      "/v1/shelves/1/books/a%2Fb",
      "/v1/{name=shelves/*/books/*} [shelves/1/books/a%2Fb]",
    ],
    [27, tableOf("/w/{id}"), "/w/foo%252Fbar", "/w/{id} [foo%2Fbar]"],
    [28, tableOf("/foo/{id}"), "/foo/%25", "/foo/{id} [%]"],
    [29, tableOf("/w/{id}", "/w/{id}:test"), "/w/a%3Atest", "/w/{id} [a:test]"],
    [30, tableOf("/w/{id}"), "/w/", "404"],
    [30, tableOf("/w/{id}"), "/w/x/", "404"],
    [30, tableOf("/w/{id}"), "/w//x", "404"],
    [30, tableOf("/w/{rest=**}"), "/w/x//y", "404"],
    [30, tableOf("/w/{id}"), "//w/x", "404"],
    [31, tableOf("/webhooks/events", "/webhooks/{id}"), "/webhooks/events", "/webhooks/events"],
    [31, tableOf("/webhooks/events", "/webhooks/{id}"), "/webhooks/eventsX", "/webhooks/{id} [eventsX]"],
    [0, tableOf("/webhooks/events"), "/webhooks/ev%65nts", "/webhooks/events"],
    [0, tableOf("/webhooks/events"), "/Webhooks/events", "404"],
    [0, tableOf("/a/{x=**}"), `/a${"/b".repeat(300)}`, "404"],
    [34, WIDE, "/nothing/here", "404"],
    [34, WIDE, "/foo", "404"],
  ])("row %i (%#): %o %s", (_row, table, path, expected) => {
    expect(outcome(table, "GET", path)).toBe(expected);
  });

  test.each([
    [28, "/w/%zz", "the request path has a malformed percent escape"],
    [28, "/w/%ff", "the request path has a malformed percent escape"],
    [28, "/w/%", "the request path has a malformed percent escape"],
    [40, "w/x", `the request path must start with "/"`],
    [40, "*", `the request path must start with "/"`],
    [40, "", `the request path must start with "/"`],
  ])("row %i: %s is BAD_REQUEST", (_row, path, message) => {
    const error = errorOf(() => tableOf("/w/{id}").match("GET", path));
    expect(error).toBeInstanceOf(TranscodeError);
    expect(error).toMatchObject({ code: "BAD_REQUEST", message });
  });
});

describe("methods", () => {
  const API = tableOf("/webhooks/events", "/webhooks/{id}", "DELETE /webhooks/{id}", "POST /webhooks/{id}:test");
  const ANY = tableOf("* /any", "POST /any", "* /get", "/get");
  test.each([
    [32, API, "DELETE", "/webhooks/events", "405 GET, HEAD, OPTIONS"],
    [32, API, "DELETE", "/webhooks/1", "DELETE /webhooks/{id} [1]"],
    [33, API, "PUT", "/webhooks/1", "405 GET, DELETE, HEAD, OPTIONS"],
    [33, API, "GET", "/webhooks/1:test", "405 POST, OPTIONS"],
    [33, API, "get", "/webhooks/1", "405 GET, DELETE, HEAD, OPTIONS"],
    [43, API, "HEAD", "/webhooks/1", "/webhooks/{id} [1]"],
    [43, API, "HEAD", "/webhooks/1:test", "405 POST, OPTIONS"],
    [43, API, "OPTIONS", "/webhooks/1", "204 GET, DELETE, HEAD, OPTIONS"],
    [43, API, "OPTIONS", "/unknown", "404"],
    [44, ANY, "GET", "/any", "* /any"],
    [44, ANY, "PURGE", "/any", "* /any"],
    [44, ANY, "OPTIONS", "/any", "* /any"],
    [44, ANY, "POST", "/any", "POST /any"],
    [44, ANY, "HEAD", "/get", "/get"],
  ])("row %i: %o %s %s", (_row, table, method, path, expected) => {
    expect(outcome(table, method, path)).toBe(expected);
  });

  test("row 15: same method, shape and verb twice", () => {
    expect(() => tableOf("/w/{id}", "/w/{x}")).toThrow("/w/{x}: same method, path shape and verb as /w/{id}");
    expect(() => tableOf("/w/{id}", "/w/*")).toThrow("same method, path shape and verb");
    expect(() => tableOf("/w/{id}:go", "/w/{x}", "POST /w/{x}", "/w/x")).not.toThrow();
  });
});
