/** Field masks from the keys of a PATCH body (AIP-134: what the caller names is what changes). */
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { fieldsByName, hasCustomJson, isOutputOnly } from "./message-access.ts";

/**
 * The paths that a body names, in proto names and in the body's order: leaves of nested messages, and one path for
 * a list, a map or a well-known type. Keys with null are named too: they clear the field. An empty nested object
 * names itself. OUTPUT_ONLY fields and the `excluded` paths (bound by the URL) are left out, and so is a nested
 * object that holds nothing else. `body` must already have been read as `desc`.
 */
export function maskPaths(desc: DescMessage, body: unknown, excluded: ReadonlySet<string>): string[] {
  const paths: string[] = [];
  collect(desc, body, "", excluded, paths);
  return paths;
}

function collect(desc: DescMessage, body: unknown, prefix: string, excluded: ReadonlySet<string>, out: string[]): void {
  const fields = fieldsByName(desc);
  for (const [key, value] of Object.entries(body as Record<string, unknown>)) {
    const field = fields.get(key);
    const path = `${prefix}${field?.name ?? key}`;
    if (field === undefined || isOutputOnly(field) || excluded.has(path)) {
      continue;
    }
    const nested = nestedMessage(field, value);
    if (nested === undefined) {
      out.push(path);
    } else {
      collect(nested, value, `${path}.`, excluded, out);
    }
  }
}

/** The type to go down into, or undefined where the field is a leaf of the mask. */
function nestedMessage(field: DescField, value: unknown): DescMessage | undefined {
  if (field.fieldKind !== "message" || hasCustomJson(field.message)) {
    return undefined;
  }
  return typeof value === "object" && value !== null && Object.keys(value).length > 0 ? field.message : undefined;
}
