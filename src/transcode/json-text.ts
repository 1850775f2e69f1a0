/**
 * JSON bodies from bytes to values, with what JSON.parse lets through refused: invalid UTF-8, keys given twice,
 * halves of surrogate pairs, and nesting past a bound (RFC 8259; RFC 7493 for the first three).
 */
import { badField, badRequest, type TranscodeError } from "./transcode-error.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Most values that a body may hold: each costs the parsers thousands of times what its bytes do. */
const VALUES_MAX = 50_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Parses a body. `depthMax` is how many arrays and objects may stand inside each other. Throws TranscodeError; its
 * message never quotes the body.
 */
export function parseJsonBody(bytes: Uint8Array, depthMax: number): unknown {
  return readStrictly(bytes, depthMax).value;
}

/** The text of a body that parseJsonBody takes, for a parser that is not as strict. Throws TranscodeError. */
export function strictJsonText(bytes: Uint8Array, depthMax: number): string {
  return readStrictly(bytes, depthMax).text;
}

function readStrictly(bytes: Uint8Array, depthMax: number): { readonly text: string; readonly value: unknown } {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw badRequest("the body is not valid UTF-8");
  }
  checkDepth(text, depthMax);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformed(error);
  }
  checkStrict(text);
  return { text, value };
}

/** The parser's own message may quote the body, so only the offset is taken from it. */
function malformed(error: unknown): TranscodeError {
  const offset = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
  return badRequest(`the body is not valid JSON${offset === undefined ? "" : ` (at character ${offset})`}`);
}

/** One pass over any text, before JSON.parse spends seconds on megabytes of brackets. */
function checkDepth(text: string, depthMax: number): void {
  let depth = 0;
  let values = 1;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString && char === BACKSLASH) {
      i++;
    } else if (char === QUOTE) {
      inString = !inString;
    } else if (!inString && char === COMMA) {
      values++;
      if (values > VALUES_MAX) {
        throw badRequest(`the body has more than ${VALUES_MAX} values`);
      }
    } else if (!inString && (char === OPEN_OBJECT || char === OPEN_ARRAY)) {
      depth++;
      if (depth > depthMax) {
        throw badRequest(`the body is nested deeper than ${depthMax} levels`);
      }
    } else if (!inString && (char === CLOSE_OBJECT || char === CLOSE_ARRAY)) {
      depth--;
    }
  }
}

interface Frame {
  /** Keys met so far; undefined for an array. */
  readonly seen: Set<string> | undefined;
  /** Where in the object or array the scan is. */
  key: string | number;
}

/** One pass over text that JSON.parse has accepted, so that only strings and separators need a look. */
function checkStrict(text: string): void {
  const frames: Frame[] = [];
  const strings = new StringScanner(text);
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    const frame = frames.at(-1);
    if (char === QUOTE) {
      const close = strings.closingQuote(i);
      if (expectKey && frame?.seen !== undefined) {
        frame.key = strings.content(i, close);
        if (frame.seen.has(frame.key)) {
          throw badField(pathOf(frames), "duplicate", "the key is given twice");
        }
        frame.seen.add(frame.key);
        expectKey = false;
      }
      i = close;
    } else if (char === COMMA) {
      expectKey = frame?.seen !== undefined;
      if (typeof frame?.key === "number") {
        frame.key++;
      }
    } else if (char === OPEN_OBJECT || char === OPEN_ARRAY) {
      expectKey = char === OPEN_OBJECT;
      frames.push(expectKey ? { seen: new Set(), key: "" } : { seen: undefined, key: 0 });
    } else if (char === CLOSE_OBJECT || char === CLOSE_ARRAY) {
      frames.pop();
      expectKey = false;
    }
  }
}

function pathOf(frames: readonly Frame[]): string {
  const path = frames.map(({ key }) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
  return path.startsWith(".") ? path.slice(1) : path;
}

/** Finds the ends of strings; must be asked in order of offset, because it remembers the next backslash. */
class StringScanner {
  readonly #text: string;
  #backslash: number;

  constructor(text: string) {
    this.#text = text;
    this.#backslash = this.#next(0);
  }

  #next(from: number): number {
    const index = this.#text.indexOf("\\", from);
    return index === -1 ? Number.POSITIVE_INFINITY : index;
  }

  /** The offset of the quote that closes the string opened at `open`. */
  closingQuote(open: number): number {
    let close = this.#text.indexOf('"', open + 1);
    while (this.#backslash < close) {
      const end = this.#escapeEnd(this.#backslash);
      this.#backslash = this.#next(end);
      if (end > close) {
        close = this.#text.indexOf('"', end);
      }
    }
    return close;
  }

  /** Escapes are decoded, so that one key written in two ways is one key. */
  content(open: number, close: number): string {
    const raw = this.#text.slice(open + 1, close);
    return raw.includes("\\") ? String(JSON.parse(`"${raw}"`)) : raw;
  }

  #escapeEnd(backslash: number): number {
    const unit = this.#unitAt(backslash);
    if (unit === undefined || unit < 0xd800 || unit > 0xdfff) {
      return backslash + 2;
    }
    const low = unit < 0xdc00 ? this.#unitAt(backslash + 6) : undefined;
    if (low === undefined || low < 0xdc00 || low > 0xdfff) {
      throw badRequest("the body has a string with half of a surrogate pair");
    }
    return backslash + 12;
  }

  /** The UTF-16 unit that a `\u` escape at the offset stands for; undefined for anything else. */
  #unitAt(offset: number): number | undefined {
    return this.#text.startsWith("\\u", offset)
      ? Number.parseInt(this.#text.slice(offset + 2, offset + 6), 16)
      : undefined;
  }
}
