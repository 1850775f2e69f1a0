/** The few HTTP/2 frames (RFC 9113 §6) and HPACK forms (RFC 7541 §6) that a load generator needs. */

export const FRAME_HEAD_BYTES = 9;
export const FRAME = { data: 0, headers: 1, resetStream: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
const WINDOW_BYTES_DEFAULT = 65_535;
const SETTINGS_INITIAL_WINDOW_SIZE = 4;
/** Entries of HPACK's static table; the newest entry of the dynamic one comes after them. */
const STATIC_ENTRIES = 61;

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** What a connection begins with: the largest windows there are, so that no answer waits for an update. */
export function opening(): Buffer {
  const setting = Buffer.alloc(6);
  setting.writeUInt16BE(SETTINGS_INITIAL_WINDOW_SIZE);
  setting.writeUInt32BE(WINDOW_BYTES_MAX, 2);
  return Buffer.concat([
    PREFACE,
    frame(FRAME.settings, 0, 0, setting),
    windowUpdate(WINDOW_BYTES_MAX - WINDOW_BYTES_DEFAULT),
  ]);
}

export function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.windowUpdate, 0, 0, payload);
}

/** A header block for the first request of a connection, which fills its table, and the one for all that follow. */
export interface HeaderBlocks {
  readonly first: Buffer;
  readonly again: Buffer;
}

/** Values must be shorter than 127 bytes, and all of them together fit the default table. */
export function headerBlocks(headers: Readonly<Record<string, string>>): HeaderBlocks {
  const entries = Object.entries(headers);
  const literal = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, "latin1")]);
  return {
    first: Buffer.concat(entries.flatMap(([name, value]) => [Buffer.from([0x40]), literal(name), literal(value)])),
    again: Buffer.from(entries.map((_entry, index) => 0x80 | (STATIC_ENTRIES + entries.length - index))),
  };
}
