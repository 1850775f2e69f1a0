/** Random changes of bytes, from a seed. */

/** A number from 0 up to, but not including, the bound. */
export type Random = (bound: number) => number;

/** Mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

export const pick = <Item>(random: Random, items: readonly Item[]): Item => items[random(items.length)] as Item;

const INSERTS = [
  "\0",
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  " ",
  "\t",
  ":",
  ",",
  ";",
  "\xff",
  "%",
  "%00",
  "[",
  "{",
  '"',
  "-1",
  "1e9",
];
/** Longest piece that is cut out, doubled or taken from elsewhere, bytes. */
const PIECE_BYTES_MAX = 200;

type Change = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

const CHANGES: readonly Change[] = [
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    for (let flips = 1 + random(4); flips > 0 && copy.length > 0; flips -= 1) {
      const at = random(copy.length);
      copy.writeUInt8(copy.readUInt8(at) ^ (1 << random(8)), at);
    }
    return copy;
  },
  (bytes, random) => bytes.subarray(0, random(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random(bytes.length + 1)),
  (bytes, random) => cut(bytes, random, () => Buffer.alloc(0)),
  (bytes, random) => cut(bytes, random, (piece) => Buffer.concat([piece, piece])),
  (bytes, random) => cut(bytes, random, (piece) => Buffer.alloc(piece.length, random(256))),
  (bytes, random) => insert(bytes, random, Buffer.from(pick(random, INSERTS), "latin1")),
  (bytes, random) => insert(bytes, random, Buffer.alloc(1 + random(40_000), pick(random, INSERTS), "latin1")),
  (bytes, random, other) =>
    insert(bytes, random, other.subarray(random(other.length), random(other.length) + PIECE_BYTES_MAX)),
  (bytes, random, other) =>
    Buffer.concat([bytes.subarray(0, random(bytes.length)), other.subarray(random(other.length))]),
  (bytes, random) =>
    Buffer.from(
      bytes.toString("latin1").replace(/\d+/, () => pick(random, HUGE)),
      "latin1",
    ),
];

const HUGE = ["-1", "0", "00", "4294967296", "9007199254740993", "99999999999999999999999", "0x10", "1_0", "+1", "1.0"];

function cut(bytes: Buffer, random: Random, change: (piece: Buffer) => Buffer): Buffer {
  const from = random(bytes.length + 1);
  const to = Math.min(bytes.length, from + random(PIECE_BYTES_MAX));
  return Buffer.concat([bytes.subarray(0, from), change(bytes.subarray(from, to)), bytes.subarray(to)]);
}

function insert(bytes: Buffer, random: Random, piece: Buffer): Buffer {
  const at = random(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

/** The bytes after one to three changes; `other` lends pieces. */
export function mutate(bytes: Buffer, random: Random, other: Buffer): Buffer {
  let changed = bytes;
  for (let count = 1 + random(3); count > 0; count -= 1) changed = pick(random, CHANGES)(changed, random, other);
  return changed;
}
