/**
 * Scalars and enums from JSON values and from the text of paths and queries (proto3 JSON mapping,
 * https://protobuf.dev/programming-guides/json/). Parsers return the local value or throw InputError, whose message
 * never echoes the input.
 */
import { type DescEnum, ScalarType } from "@bufbuild/protobuf";

/** A refused value. `message` completes "<path>: …"; the path grows from the inside out as the error passes up. */
export class InputError extends Error {
  override readonly name = "InputError";
  readonly rule: string;
  /** JSON path below the reader that is looking at the error; "" for its own value. */
  path = "";

  constructor(message: string, rule = "type") {
    super(message);
    this.rule = rule;
  }
}

/** Turns a JSON value other than null, or a text, into a local value. */
export type InputParser = (value: unknown) => unknown;

const DECIMAL = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const INTEGER = /^-?\d+$/;
/** More digits than any 64-bit integer has: a guard before BigInt, whose cost grows with the square. */
const INTEGER_LENGTH_MAX = 40;
const NUMBER_LENGTH_MAX = 400;
const BASE64 = /^[A-Za-z0-9+/\-_]*={0,2}$/;
const FLOAT_MAX = 3.4028234663852886e38;

/** The parser of JSON values for a scalar type. `longAsString` is the field's jstype = JS_STRING. */
export function scalarParser(type: ScalarType, longAsString: boolean): InputParser {
  switch (type) {
    case ScalarType.STRING:
      return parseString;
    case ScalarType.BOOL:
      return parseBool;
    case ScalarType.BYTES:
      return parseBytes;
    case ScalarType.DOUBLE:
      return (value) => parseDouble(value, Number.MAX_VALUE);
    case ScalarType.FLOAT:
      return (value) => parseDouble(value, FLOAT_MAX);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return (value) => parseInt32(value, 0, 0xffff_ffff);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return (value) => parseInt32(value, -0x8000_0000, 0x7fff_ffff);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return int64Parser(0n, 0xffff_ffff_ffff_ffffn, longAsString);
    default:
      return int64Parser(-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn, longAsString);
  }
}

/** The parser of texts for a scalar type: as in JSON, and `true` and `false` without being JSON. */
export function scalarTextParser(type: ScalarType, longAsString: boolean): InputParser {
  if (type !== ScalarType.BOOL) {
    return scalarParser(type, longAsString);
  }
  return (text) => parseBool(text === "true" ? true : text === "false" ? false : text);
}

/** The parser of JSON values for an enum: a name, or a number (any int32 where the enum is open). */
export function enumParser(desc: DescEnum): InputParser {
  const numbers = new Map<string, number>();
  const declared = new Set<number>();
  for (const value of desc.values) {
    numbers.set(value.name, value.number).set(value.jsonName, value.number);
    declared.add(value.number);
  }
  return (value) => {
    if (typeof value === "string") {
      const number = numbers.get(value);
      if (number !== undefined) {
        return number;
      }
    } else if (typeof value === "number" && (desc.open ? (value | 0) === value : declared.has(value))) {
      return value;
    }
    throw new InputError(`must be a value of ${desc.name}`);
  };
}

/** The parser of texts for an enum: as in JSON, and numbers in decimal. */
export function enumTextParser(desc: DescEnum): InputParser {
  const parse = enumParser(desc);
  return (text) => parse(typeof text === "string" && INTEGER.test(text) ? Number(text) : text);
}

function parseString(value: unknown): string {
  if (typeof value !== "string") {
    throw new InputError("must be a string");
  }
  return value;
}

function parseBool(value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new InputError("must be true or false");
  }
  return value;
}

function parseInt32(value: unknown, min: number, max: number): number {
  const number = typeof value === "string" ? decimal(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < min || number > max) {
    throw new InputError(`must be an integer from ${min} to ${max}`);
  }
  // Adding zero turns -0 into 0.
  return number + 0;
}

function int64Parser(min: bigint, max: bigint, asString: boolean): InputParser {
  return (value) => {
    const integer = toBigInt(value);
    if (integer === undefined || integer < min || integer > max) {
      throw new InputError(`must be an integer from ${min} to ${max}, as a string if beyond 2^53`);
    }
    return asString ? String(integer) : integer;
  };
}

/** Numbers past 2^53 are refused: JSON parsing has already changed them. */
function toBigInt(value: unknown): bigint | undefined {
  if (typeof value === "string") {
    return value.length <= INTEGER_LENGTH_MAX && INTEGER.test(value) ? BigInt(value) : undefined;
  }
  return Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
}

function parseDouble(value: unknown, max: number): number {
  if (value === "NaN") {
    return Number.NaN;
  }
  if (value === "Infinity" || value === "-Infinity") {
    return Number(value);
  }
  const number = typeof value === "string" ? decimal(value) : value;
  if (typeof number !== "number" || !(Math.abs(number) <= max)) {
    throw new InputError("must be a number in range, or NaN, Infinity or -Infinity as a string");
  }
  return number;
}

function decimal(text: string): number | undefined {
  return text.length <= NUMBER_LENGTH_MAX && DECIMAL.test(text) ? Number(text) : undefined;
}

/** Standard or URL-safe alphabet, padded or not (RFC 4648 sections 4 and 5). */
function parseBytes(value: unknown): Uint8Array {
  if (typeof value !== "string" || !isBase64(value)) {
    throw new InputError("must be base64");
  }
  const buffer = Buffer.from(value, "base64");
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function isBase64(text: string): boolean {
  return BASE64.test(text) && (text.endsWith("=") ? text.length % 4 === 0 : text.length % 4 !== 1);
}
