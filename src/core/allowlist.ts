/** The event allowlist of a webhook: which types of events are wanted. */

/** `*` alone, or at the end after a dot; and nothing that no type of an event holds (event-identity.ts). */
const PATTERN = /^(?:\*|[^*\p{Cc}]+|[^*\p{Cc}]*\.\*)$/u;

/** The index of the first entry that can match no event; -1 if each can match some, or is blank. */
export function findUnmatchable(list: readonly string[]): number {
  return list.findIndex((entry) => entry.trim() !== "" && !PATTERN.test(entry.trim()));
}

/** Trims, drops empty and repeated entries, keeps the order. */
export function normalizeAllowlist(list: readonly string[]): readonly string[] {
  return [...new Set(list.map((pattern) => pattern.trim()))].filter((pattern) => pattern !== "");
}

/**
 * Whether a normalized allowlist lets one of the types through. An empty list and `*` let everything through, events
 * without a type too; `prefix.*` what lies under `prefix`, not `prefix` itself; anything else only itself.
 */
export function matchesAllowlist(patterns: readonly string[], types: readonly string[]): boolean {
  return patterns.length === 0 || patterns.some((pattern) => pattern === "*" || matchesPattern(pattern, types));
}

function matchesPattern(pattern: string, types: readonly string[]): boolean {
  return types.some((type) => matchesType(pattern, type));
}

function matchesType(pattern: string, type: string): boolean {
  if (!pattern.endsWith(".*")) return pattern === type;
  const stem = pattern.slice(0, -1);
  return type.length > stem.length && type.startsWith(stem);
}
