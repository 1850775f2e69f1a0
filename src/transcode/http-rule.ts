/** The google.api.http annotations of an RPC, read and checked at start-up. */
import { type DescField, type DescMessage, type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../gen/google/api/http_pb.ts";
import { parseTemplate, type Template } from "./template.ts";

/** One HTTP method and path by which an RPC can be called. */
export interface HttpBinding {
  readonly rpc: DescMethod;
  readonly method: string;
  readonly path: string;
  readonly template: Template;
  /** What the request body fills: nothing, the whole message, or one field. */
  readonly body: DescField | "*" | undefined;
  /** The field that is the response body; undefined: the whole message. */
  readonly responseBody: DescField | undefined;
}

/** RFC 9110 token, in upper case, or the wildcard. */
const METHOD = /^(?:\*|[A-Z][A-Z0-9-]*)$/;

/**
 * The bindings of an RPC, its own first; none where it has no annotation. Throws Error, naming the RPC and the
 * template, on a bad template, an unknown `body` or `response_body`, and on RPCs whose requests stream.
 */
export function httpBindings(rpc: DescMethod): HttpBinding[] {
  if (!hasOption(rpc, http)) {
    return [];
  }
  const rule = getOption(rpc, http);
  return [rule, ...rule.additionalBindings].map((each) => {
    const { method, path } = patternOf(each);
    return explained(rpc, method, path, () => {
      if (each !== rule && each.additionalBindings.length > 0) {
        throw new Error("additional_bindings inside additional_bindings");
      }
      return readRule(rpc, each, method, path);
    });
  });
}

/** Runs a start-up step; its Error is thrown again with the RPC and the template in front. */
export function explained<T>(rpc: DescMethod, method: string, path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${bindingName(rpc, method, path)}: ${reason}`, { cause: error });
  }
}

/** How errors at start-up call a binding. */
export function bindingName(rpc: DescMethod, method: string, path: string): string {
  return `${rpc.parent.typeName}.${rpc.name}: ${method} ${path}`;
}

function readRule(rpc: DescMethod, rule: HttpRule, method: string, path: string): HttpBinding {
  if (!METHOD.test(method)) {
    throw new Error("the rule has no HTTP method");
  }
  if (rpc.methodKind === "client_streaming" || rpc.methodKind === "bidi_streaming") {
    throw new Error("RPCs whose requests stream cannot be transcoded");
  }
  const template = parseTemplate(path);
  const body = rule.body === "" || rule.body === "*" ? rule.body : topLevelField(rpc.input, rule.body, "body");
  const responseBody =
    rule.responseBody === "" ? undefined : topLevelField(rpc.output, rule.responseBody, "response_body");
  return { rpc, method, path, template, body: body === "" ? undefined : body, responseBody };
}

function patternOf(rule: HttpRule): { method: string; path: string } {
  const { pattern } = rule;
  switch (pattern.case) {
    case undefined:
      return { method: "", path: "" };
    case "custom":
      return { method: pattern.value.kind, path: pattern.value.path };
    default:
      return { method: pattern.case.toUpperCase(), path: pattern.value };
  }
}

function topLevelField(desc: DescMessage, name: string, option: string): DescField {
  const field = desc.fields.find((each) => each.name === name);
  if (field === undefined) {
    throw new Error(`${option}: ${desc.typeName} has no field "${name}"`);
  }
  return field;
}
