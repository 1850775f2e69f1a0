/**
 * The text that these bytes are in UTF-8, byte for byte; null where they are none. Where they were cut off, a character
 * of which only the beginning is there is left out.
 */
export function exactText(bytes: Uint8Array, isCut = false): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: isCut });
  } catch {
    return null;
  }
}
