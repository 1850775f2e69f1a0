/** Well-known types from their proto3 JSON forms. The library parses; what it lets through by mistake is checked first. */
import { type DescMessage, fromJson, type JsonValue, type Registry } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { hasCustomJson, type LocalMessage, localOf } from "./message-access.ts";
import { InputError, type InputParser, scalarParser, scalarTextParser } from "./scalar-input.ts";

const DURATION = /^-?\d{1,12}(?:\.\d{1,9})?s$/;
/** Depth of JSON is bounded before parsing; this must not be lower than any such bound. */
const RECURSION_MAX = 10_000;

/** What a value must be, by type name. */
const EXPECTATIONS: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": "must be an RFC 3339 time between the years 1 and 9999",
  "google.protobuf.Duration": 'must be a duration in seconds such as "1.5s"',
  "google.protobuf.FieldMask": 'must be a list of fields such as "name,forwarding.state"',
  "google.protobuf.Struct": "must be an object",
  "google.protobuf.ListValue": "must be an array",
  "google.protobuf.Any": 'must be an object with a known "@type"',
};

/** The types whose JSON form is a string, so that they may stand in a path or query. */
const TEXTUAL = new Set(["google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"]);

/** The parser of JSON values of a well-known type into a message, or undefined for other messages. */
export function wellKnownParser(desc: DescMessage, registry: Registry): InputParser | undefined {
  if (!hasCustomJson(desc)) {
    return undefined;
  }
  if (isWrapperDesc(desc)) {
    return wrapped(desc, scalarParser(desc.fields[0].scalar, false));
  }
  const expectation = EXPECTATIONS[desc.typeName] ?? "must be a JSON value";
  const isDuration = desc.typeName === "google.protobuf.Duration";
  return (value) => {
    if (isDuration && !(typeof value === "string" && DURATION.test(value))) {
      throw new InputError(expectation);
    }
    try {
      return localOf(fromJson(desc, value as JsonValue, { registry, recursionLimit: RECURSION_MAX }));
    } catch {
      throw new InputError(expectation);
    }
  };
}

/** The parser of texts of a well-known type into a message, or undefined where a text cannot hold the type. */
export function wellKnownTextParser(desc: DescMessage, registry: Registry): InputParser | undefined {
  if (isWrapperDesc(desc)) {
    return wrapped(desc, scalarTextParser(desc.fields[0].scalar, false));
  }
  return TEXTUAL.has(desc.typeName) ? wellKnownParser(desc, registry) : undefined;
}

function wrapped(desc: DescMessage, parse: InputParser): InputParser {
  return (value): LocalMessage => ({ $typeName: desc.typeName, value: parse(value) });
}
