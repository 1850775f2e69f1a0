/** The presets' plain sentences → text with what a machine reads set as code. */

/**
 * What is code in a sentence: forms with <placeholders>, calls, addresses of services, headers, and names that no
 * sentence would write: with underscores, capitals inside, or the dots of an ellipsis.
 */
const CODE = new RegExp(
  [
    String.raw`(?:\bx-[a-z0-9-]+: )?(?:[\w:=-]*<[^<>]+>)+`,
    String.raw`\b(?:GET|POST|HEAD) /[\w/{}.-]*\w`,
    String.raw`\b(?:x|webhook)-[a-z0-9]+(?:-[a-z0-9]+)*(?:: [\w]+=)?`,
    String.raw`\bv1,whsec_`,
    String.raw`\b[A-Za-z]+(?:_[A-Za-z0-9…]+)+`,
    String.raw`\b(?:whsec|whpk)_`,
    String.raw`\b[a-z]+[A-Z][A-Za-z0-9]*\b`,
    String.raw`\buser:password\b`,
    String.raw`\b[a-z0-9-]+(?:\.[a-z0-9-]+)+\.(?:com|org)(?:/[\w/-]+)?`,
    String.raw`\btrello\.com/[\w/-]+`,
  ].join("|"),
  "g",
);

/** A preset's sentence as text. Everything outside code is escaped where Markdown would take it for a mark. */
export function prose(sentence: string): string {
  let result = "";
  let at = 0;
  for (const match of sentence.matchAll(CODE)) {
    result += `${escaped(sentence.slice(at, match.index))}\`${match[0]}\``;
    at = match.index + match[0].length;
  }
  return result + escaped(sentence.slice(at));
}

const escaped = (plain: string): string => plain.replaceAll(/[*_`[\]<>\\]/g, "\\$&");

/** A name in code. */
export const code = (name: string): string => `\`${name}\``;

/** "a", "a and b", "a, b and c". */
export function listed(phrases: readonly string[], word = "and"): string {
  const last = phrases.at(-1) ?? "";
  return phrases.length < 2 ? last : `${phrases.slice(0, -1).join(", ")} ${word} ${last}`;
}

/** The sentence with a capital at its beginning, unless it begins with code. */
export const sentence = (phrase: string): string => phrase.charAt(0).toUpperCase() + phrase.slice(1);

/** The label without what tells products of one provider apart. */
export const shortLabel = (label: string): string => prose(label.split(/,| \(/)[0] ?? label);

/** Seconds in words. */
export function seconds(count: number): string {
  if (count % 3_600 === 0 && count > 0) return plural(count / 3_600, "hour");
  if (count % 60 === 0 && count > 0) return plural(count / 60, "minute");
  return plural(count, "second");
}

const plural = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? "" : "s"}`;
