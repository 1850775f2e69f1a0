/** What is read from a URL: only documented errors, one answer for one meaning, and encoders that are undone. */
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeGrpcMessage, withoutNeedlessEscapes } from "../../src/grpc/message.ts";
import { splitTarget } from "../../src/transcode/http-exchange.ts";
import { createQueryReader, parseQuery } from "../../src/transcode/query.ts";
import { createRouteTable } from "../../src/transcode/route-table.ts";
import { parseTemplate, TemplateError } from "../../src/transcode/template.ts";
import { TranscodeError } from "../../src/transcode/transcode-error.ts";
import { messageType, registry } from "../transcode/library.ts";
import { runs } from "./runs.ts";

function attempt<Value>(run: () => Value, documented: new (...rest: never[]) => Error): Value | undefined {
  try {
    return run();
  } catch (error) {
    expect(error).toBeInstanceOf(documented);
    return undefined;
  }
}

const words = (text: string) => fc.constantFrom(...text.split(" "));
const textOf = (arbitrary: fc.Arbitrary<string>) => fc.array(arbitrary, { maxLength: 20 }).map((list) => list.join(""));

const everything = messageType("Everything");
const readQuery = createQueryReader(everything, () => false, registry);

test("any query fills the message or is refused, and touches no prototype", () => {
  const piece = words(
    "& = . + % %2 %zz %00 %C3%A9 %ED%A0%80 nested name amount int32Value int32_value repeatedValue mapValue structValue __proto__ constructor timestampValue 1 -1 1e9 true x optionalString oneofString",
  );
  const before = Object.getOwnPropertyNames(Object.prototype);
  const property = fc.property(fc.oneof(textOf(piece), fc.string({ unit: "binary" })), (query) => {
    attempt(() => readQuery(create(everything) as never, query), TranscodeError);
  });
  fc.assert(property, runs(5_000));
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
});

test("a query is split as URLSearchParams splits it, or refused", () => {
  const piece = words("& = + % %2B %26 %3D %25 a b é %C3%A9 %FF ;");
  const property = fc.property(textOf(piece), (query) => {
    const pairs = attempt(() => parseQuery(query), TranscodeError);
    if (pairs) expect(pairs).toEqual([...new URLSearchParams(query)]);
  });
  fc.assert(property, runs(5_000));
});

test("any template is parsed or refused as no template", () => {
  const piece = words("/ * ** { } = : . a b_1 v1 1 %41 %zz %FF {a} {a.b=x/*} {n=**} é");
  const property = fc.property(fc.oneof(textOf(piece), fc.string()), (text) => {
    attempt(() => parseTemplate(text), TemplateError);
    attempt(() => parseTemplate(`/${text}`), TemplateError);
  });
  fc.assert(property, runs(10_000));
});

const routes = ["/a", "/a/{x}", "/a/b", "/a/{x}/c", "/a/b:verb", "/a/{x=b/*}:verb", "/{x}/b/{y=**}", "/{x=**}:all"];
const table = createRouteTable(
  routes.map((path) => ({ name: path, method: "GET", template: parseTemplate(path), target: path })),
);

test("any path finds a route or none, and its variables give the path back", () => {
  const piece = words("/ / a b c x : :verb :all %2F %2f %61 %3A % %zz %FF . .. é");
  const property = fc.property(textOf(piece), (rest) => {
    const match = attempt(() => table.match("GET", `/${rest}`), TranscodeError);
    if (match?.kind !== "route") return;
    const template = parseTemplate(match.target);
    expect(match.values).toHaveLength(template.variables.length);
    const again = fill(match.target, match.values);
    expect(table.match("GET", again)).toEqual(match);
  });
  fc.assert(property, runs(10_000));
});

/** The path that a route's values stand for. An encoded slash in a value of several segments is encoded already. */
function fill(path: string, values: readonly string[]): string {
  let index = 0;
  const filled = path.replaceAll(/\{\w+(=[^}]+)?\}/g, (_, pattern: string | undefined) => {
    const value = values[index++] ?? "";
    if (pattern === undefined) return encodeURIComponent(value);
    return value
      .split("/")
      .map((part) => part.split("%2F").map(encodeURIComponent).join("%2F"))
      .join("/");
  });
  // No segments at all are left of an empty value of several.
  return filled.endsWith("/") ? filled.slice(0, -1) : filled;
}

test("any target is split, and put together again", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { path, query } = splitTarget(`/${text}`);
      expect(path + (text.includes("?") ? `?${query}` : "")).toBe(`/${text}`);
      expect(splitTarget(`http://host${`/${text}`}`)).toEqual({ path, query });
    }),
    runs(2_000),
  );
});

test("grpc-message is what decodeURIComponent undoes, in visible ASCII, and spelled once", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (message) => {
      const encoded = encodeGrpcMessage(message);
      expect(encoded).toMatch(/^[\x20-\x7e]*$/);
      expect(decodeURIComponent(encoded)).toBe(message.toWellFormed());
      expect(withoutNeedlessEscapes(encoded)).toBe(encoded);
    }),
    runs(5_000),
  );
});
