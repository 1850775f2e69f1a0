/** Paths of field masks (AIP-134) from the descriptor of the message that they lead into. */
import type { DescMessage } from "@bufbuild/protobuf";

/** Every path below a message, in proto names, and the same in JSON names. Lists and maps are leaves. */
export function maskPaths(desc: DescMessage): ReadonlyMap<string, string> {
  return new Map(pathsOf(desc));
}

function pathsOf(desc: DescMessage): [mask: string, json: string][] {
  return desc.fields.flatMap((field) => {
    const below = field.fieldKind === "message" ? pathsOf(field.message) : [];
    const nested = below.map(([mask, json]): [string, string] => [
      `${field.name}.${mask}`,
      `${field.jsonName}.${json}`,
    ]);
    return [[field.name, field.jsonName] as [string, string], ...nested];
  });
}
