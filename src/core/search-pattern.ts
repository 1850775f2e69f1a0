/**
 * The pattern that finds a text whatever its case: a regular expression of PostgreSQL for the text's UTF-8 bytes, one
 * character each (Latin-1), because a body may hold bytes that are no text. Letters of ASCII are left to `~*`; any other
 * letter stands in each of its cases.
 */

const ASCII_WORD = /^[A-Za-z0-9_]$/;

export function searchPattern(text: string): string {
  return Array.from(text, anyCase).join("");
}

function anyCase(character: string): string {
  if (ASCII_WORD.test(character)) return character;
  const cases = new Set([character, character.toLowerCase(), character.toUpperCase()].map(literal));
  return cases.size === 1 ? literal(character) : `(?:${[...cases].join("|")})`;
}

/** The bytes as characters, none of which means anything to a regular expression. */
function literal(text: string): string {
  return Buffer.from(text)
    .toString("latin1")
    .replaceAll(/[!-/:-@[-^`{-~]/g, "\\$&");
}
