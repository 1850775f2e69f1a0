/**
 * What every request must be before its own rules are asked: text is well-formed Unicode without NUL, which
 * PostgreSQL cannot store; a time is one that RFC 3339 can write; a JSON value is one. Readers of binary protobuf and
 * of lenient JSON let others through. A check is compiled per message type, so that new fields are covered by
 * themselves.
 */
import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc, type Timestamp, type Value } from "@bufbuild/protobuf/wkt";
import type { FieldViolation } from "../errors.ts";

/** Most violations that one request is told. */
export const VIOLATIONS_MAX = 20;
/** Longest key of a map, and longest path, that a violation repeats, characters: they are the caller's. */
export const SHOWN_CHARS_MAX = 200;

/** Text that never reaches a text column: it is kept as bytes, or only looked at. */
const NUL_ALLOWED =
  /^(?:google\.protobuf\.(?:Value|Struct)\.\w+|alumia\.webhooks\.v1\.VerifySignatureRequest\.payload)$/;

const YEAR_1_SECONDS = -62_135_596_800n;
const YEAR_9999_END_SECONDS = 253_402_300_799n;

/** Adds what is wrong with a value, under its path, until VIOLATIONS_MAX are found. */
type Check = (value: unknown, path: string, found: FieldViolation[]) => void;

type LocalMessage = Readonly<Record<string, unknown>>;

/** What is wrong with the message; empty if nothing is. Paths are in JSON names. */
export type WellFormedCheck = (message: Message) => readonly FieldViolation[];

/** The check of a message type. Throws TypeError where a type has a field whose form is not known here. */
export function createWellFormedCheck(desc: DescMessage): WellFormedCheck {
  const check = compileMessage(desc, new Map());
  return (message) => {
    const found: FieldViolation[] = [];
    check?.(message, "", found);
    return found;
  };
}

/** The text, cut where it is too long to be repeated. */
export function shown(text: string): string {
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…`.toWellFormed() : text.toWellFormed();
}

/** Undefined where nothing in the message can be wrong. */
function compileMessage(desc: DescMessage, compiled: Map<DescMessage, Check>): Check | undefined {
  const known = compiled.get(desc);
  if (known !== undefined) return known;
  const checks: { readonly field: DescField; readonly check: Check }[] = [];
  const own = OWN_CHECKS[desc.typeName];
  const checkMessage: Check = (value, path, found) => {
    own?.(value, path, found);
    for (const { field, check } of checks) {
      const member = memberOf(value as LocalMessage, field);
      if (member === undefined) continue;
      check(member, path === "" ? field.jsonName : `${path}.${field.jsonName}`, found);
    }
  };
  // Kept before its fields are compiled, so that recursive types end.
  compiled.set(desc, checkMessage);
  for (const field of desc.fields) {
    const check = compileField(field, compiled);
    if (check !== undefined) checks.push({ field, check });
  }
  return checks.length > 0 || own !== undefined ? checkMessage : undefined;
}

/** The value in protobuf-es's local form; undefined where a field has none. */
function memberOf(message: LocalMessage, field: DescField): unknown {
  if (field.oneof === undefined) return message[field.localName];
  const group = message[field.oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return group.case === field.localName ? group.value : undefined;
}

function compileField(field: DescField, compiled: Map<DescMessage, Check>): Check | undefined {
  const item = compileItem(field, compiled);
  if (field.fieldKind === "list") return item && eachItem(item);
  if (field.fieldKind !== "map") return item;
  const key = field.mapKey === ScalarType.STRING ? textCheck(field) : undefined;
  return key || item ? eachEntry(key, item) : undefined;
}

function compileItem(field: DescField, compiled: Map<DescMessage, Check>): Check | undefined {
  const { message } = field;
  if (message === undefined) return field.scalar === ScalarType.STRING ? textCheck(field) : undefined;
  const isPlainStruct = message.typeName === "google.protobuf.Struct" && !isOfValue(field);
  if (isPlainStruct || isWrapperDesc(message)) throw new TypeError(`${field} has a form that is not known here`);
  return compileMessage(message, compiled);
}

const isOfValue = (field: DescField): boolean => field.parent.typeName === "google.protobuf.Value";

function eachItem(item: Check): Check {
  return (value, path, found) => {
    for (const [index, each] of (value as readonly unknown[]).entries()) {
      if (found.length >= VIOLATIONS_MAX) return;
      item(each, `${path}[${index}]`, found);
    }
  };
}

function eachEntry(key: Check | undefined, item: Check | undefined): Check {
  return (value, path, found) => {
    for (const [name, each] of Object.entries(value as LocalMessage)) {
      if (found.length >= VIOLATIONS_MAX) return;
      const place = `${path}[${JSON.stringify(shown(name))}]`;
      key?.(name, place, found);
      item?.(each, place, found);
    }
  };
}

function textCheck(field: DescField): Check {
  const nulAllowed = NUL_ALLOWED.test(`${field.parent.typeName}.${field.name}`);
  return (value, path, found) => {
    const text = value as string;
    if (!nulAllowed && text.includes("\0")) add(found, path, "text.nul", "must not contain NUL (U+0000)");
    if (!text.isWellFormed()) add(found, path, "text.unicode", "must not contain half of a surrogate pair");
  };
}

/** Messages whose fields must fit together. */
const OWN_CHECKS: Readonly<Record<string, Check>> = {
  "google.protobuf.Timestamp": (value, path, found) => {
    const { seconds, nanos } = value as Timestamp;
    const inYears = seconds >= YEAR_1_SECONDS && seconds <= YEAR_9999_END_SECONDS;
    if (inYears && nanos >= 0 && nanos < 1_000_000_000) return;
    add(found, path, "timestamp.range", "must be a time between the years 1 and 9999");
  },
  "google.protobuf.Value": (value, path, found) => {
    const { kind } = value as Value;
    if (kind.case === undefined) add(found, path, "value.kind", "must be a JSON value");
    if (kind.case === "numberValue" && !Number.isFinite(kind.value)) {
      add(found, path, "value.number", "must be a number that JSON can write");
    }
  },
};

function add(found: FieldViolation[], field: string, rule: string, message: string): void {
  if (found.length < VIOLATIONS_MAX) found.push({ field: shown(field), rule, message });
}
