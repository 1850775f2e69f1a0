/** One route's path, query and body to its request message. */
import type { DescField, Registry } from "@bufbuild/protobuf";
import { isHttpBody, type RawBody, toHttpBody } from "./http-body.ts";
import type { HttpBinding } from "./http-rule.ts";
import type { FieldReader, JsonReaders } from "./json-input.ts";
import {
  createLocal,
  fieldsByName,
  getLocal,
  hasCustomJson,
  isOutputOnly,
  type LocalMessage,
  setLocal,
} from "./message-access.ts";
import { createQueryReader } from "./query.ts";
import { InputError, type InputParser } from "./scalar-input.ts";
import { type FieldPlace, findField, holderOf, textParser } from "./text-field.ts";
import { badField } from "./transcode-error.ts";
import { maskPaths } from "./update-mask.ts";

/** A request as the route table and the body reader hand it over. */
export interface RequestParts {
  /** Values of the template's variables, in its order. */
  readonly values: readonly string[];
  /** The query string without "?". */
  readonly query: string;
  /** The parsed JSON, or the raw body where the binding takes one; undefined where there was no body. */
  readonly body: unknown;
}

export interface RequestBinder {
  /** What becomes of the request's body: it is not read, parsed as JSON, or taken as it is. */
  readonly bodyKind: "none" | "json" | "raw";
  /** Makes the message. Throws TranscodeError, naming the field. */
  bind(parts: RequestParts): LocalMessage;
}

interface PathField extends FieldPlace {
  readonly parse: InputParser;
}

/** Compiles a binding. Throws Error where a path variable names no field that a text can fill. */
export function compileBinder(binding: HttpBinding, readers: JsonReaders, registry: Registry): RequestBinder {
  const desc = binding.rpc.input;
  const pathFields = binding.template.variables.map(({ fieldPath }) => pathField(binding, fieldPath, registry));
  const pathPaths = new Set(pathFields.map((field) => field.protoPath));
  const { bodyKind, read } = compileBody(binding, readers);
  const readQuery = createQueryReader(desc, boundPaths(binding, pathPaths), registry);
  const fillMask = compileMask(binding, pathPaths);
  return {
    bodyKind,
    bind({ values, query, body }) {
      const message = read(body);
      if (binding.body !== "*") {
        readQuery(message, query);
      }
      for (const [index, field] of pathFields.entries()) {
        setPathField(message, field, values[index] ?? "");
      }
      fillMask?.(message, body);
      return message;
    },
  };
}

function pathField(binding: HttpBinding, fieldPath: readonly string[], registry: Registry): PathField {
  const place = findField(binding.rpc.input, fieldPath);
  if (place.protoPath !== fieldPath.join(".")) {
    throw new Error(`variable "${fieldPath.join(".")}" must be written as "${place.protoPath}"`);
  }
  const parse = place.field.fieldKind === "list" ? undefined : textParser(place.field, registry);
  if (parse === undefined) {
    throw new Error(`variable "${fieldPath.join(".")}" is no single value that a path can hold`);
  }
  return { ...place, parse };
}

/** The URL's path wins over what the body or query said. */
function setPathField(message: LocalMessage, target: PathField, text: string): void {
  let value: unknown;
  try {
    value = target.parse(text);
  } catch (error) {
    throw error instanceof InputError ? badField(target.jsonPath, error.rule, error.message) : error;
  }
  setLocal(holderOf(message, target), target.field, value);
}

function boundPaths(binding: HttpBinding, pathPaths: ReadonlySet<string>): (protoPath: string) => boolean {
  const { body } = binding;
  const bodyName = body === undefined || body === "*" ? undefined : body.name;
  return (path) =>
    pathPaths.has(path) || (bodyName !== undefined && (path === bodyName || path.startsWith(`${bodyName}.`)));
}

type BodyReader = (body: unknown) => LocalMessage;

function compileBody(
  binding: HttpBinding,
  readers: JsonReaders,
): { bodyKind: RequestBinder["bodyKind"]; read: BodyReader } {
  const desc = binding.rpc.input;
  const { body } = binding;
  if (body === undefined) {
    return { bodyKind: "none", read: () => createLocal(desc) };
  }
  if (body === "*") {
    if (isHttpBody(desc)) {
      return {
        bodyKind: "raw",
        read: (raw) => (raw === undefined ? createLocal(desc) : toHttpBody(desc, raw as RawBody)),
      };
    }
    const read = readers.message(desc);
    const readWhole: BodyReader = (json) => inBody(() => read(json === undefined ? {} : json)) ?? createLocal(desc);
    return { bodyKind: "json", read: readWhole };
  }
  if (body.fieldKind === "message" && isHttpBody(body.message)) {
    const field = body;
    return {
      bodyKind: "raw",
      read(raw) {
        const message = createLocal(desc);
        if (raw !== undefined) {
          setLocal(message, field, toHttpBody(field.message, raw as RawBody));
        }
        return message;
      },
    };
  }
  const reader = readers.field(body);
  return { bodyKind: "json", read: (json) => readBodyField(createLocal(desc), body, reader, json) };
}

function readBodyField(message: LocalMessage, field: DescField, reader: FieldReader, json: unknown): LocalMessage {
  const unset = json === undefined || (json === null && !reader.takesNull) || isOutputOnly(field);
  const value = unset ? undefined : inBody(() => reader.read(json));
  if (value !== undefined) {
    setLocal(message, field, value);
  }
  return message;
}

function inBody<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof InputError ? badField(error.path, error.rule, error.message) : error;
  }
}

/**
 * For a PATCH whose body is one message field, beside a FieldMask field named `update_mask`: fills the mask from the
 * body's keys, unless the query gave one.
 */
function compileMask(
  binding: HttpBinding,
  pathPaths: ReadonlySet<string>,
): ((message: LocalMessage, body: unknown) => void) | undefined {
  const { body } = binding;
  const mask = fieldsByName(binding.rpc.input).get("update_mask");
  if (binding.method !== "PATCH" || body === undefined || body === "*" || body.fieldKind !== "message") {
    return undefined;
  }
  if (hasCustomJson(body.message) || isHttpBody(body.message)) {
    return undefined;
  }
  if (mask?.fieldKind !== "message" || mask.message.typeName !== "google.protobuf.FieldMask") {
    return undefined;
  }
  const prefix = `${body.name}.`;
  const excluded = new Set([...pathPaths].filter((path) => path.startsWith(prefix)).map((p) => p.slice(prefix.length)));
  return (message, json) => {
    if (getLocal(message, mask) === undefined) {
      const paths = typeof json === "object" && json !== null ? maskPaths(body.message, json, excluded) : [];
      setLocal(message, mask, Object.assign(createLocal(mask.message), { paths }));
    }
  };
}
