import { parseArgs } from "node:util";

/** Wrong arguments. The message says which and what the command takes. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Options of a command, by name: true for a flag, "text" for one that takes a value. Throws UsageError. */
export function readOptions<Name extends string>(
  args: string[],
  names: Readonly<Record<Name, "flag" | "text">>,
): { readonly [key in Name]?: string | true } {
  const options = Object.fromEntries(
    Object.entries(names).map(([name, kind]) => [name, { type: kind === "flag" ? "boolean" : "string" } as const]),
  );
  try {
    return parseArgs({ args, options, strict: true }).values as { [key in Name]?: string | true };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
