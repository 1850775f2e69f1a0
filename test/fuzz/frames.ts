/** HTTP/2 frames (RFC 9113) written by hand, so that they may be wrong. */
import { pick, type Random } from "./mutate.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** The length to claim; the payload's own if undefined. */
  readonly length?: number;
}

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const [DATA, HEADERS, SETTINGS] = [0, 1, 4];
const [END_STREAM, END_HEADERS] = [1, 4];

export function encodeFrame({ type, flags, stream, payload, length = payload.length }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length % 2 ** 24, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK (RFC 7541): every field as a literal that is not indexed, its text as it is. */
export function encodeHeaders(headers: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([integer(bytes.length), bytes]);
}

/** An integer with a prefix of seven bits, no Huffman coding. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value);
  const bytes = [127];
  let rest = value - 127;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** SETTINGS, and one request after the other on streams of their own. */
export function requestFrames(
  requests: readonly { headers: readonly (readonly [string, string])[]; body: Buffer }[],
): Frame[] {
  const frames: Frame[] = [{ type: SETTINGS, flags: 0, stream: 0, payload: Buffer.alloc(0) }];
  for (const [index, { headers, body }] of requests.entries()) {
    const stream = 2 * index + 1;
    const ends = body.length === 0;
    frames.push({
      type: HEADERS,
      flags: END_HEADERS | (ends ? END_STREAM : 0),
      stream,
      payload: encodeHeaders(headers),
    });
    if (!ends) frames.push({ type: DATA, flags: END_STREAM, stream, payload: body });
  }
  return frames;
}

const STREAMS = [0, 1, 2, 3, 5, 7, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const LENGTHS = [0, 1, 4, 5, 8, 9, 16_384, 16_385, 2 ** 24 - 1];
/** Payloads of the right size for some type, with extreme values. */
const PAYLOADS = [
  "",
  "00000000",
  "ffffffff",
  "7fffffff",
  "00000000ffffffff",
  "0000000000000000",
  "000400000000",
  "0004ffffffff",
  "0005ffffffff",
  "000200000002",
  "ff",
];

type FrameChange = (frames: Frame[], at: number, random: Random) => void;

const CHANGES: readonly FrameChange[] = [
  (frames, at) => void frames.splice(at, 1),
  (frames, at) => void frames.splice(at, 0, frames[at] as Frame),
  (frames, at, random) => void frames.push(...frames.splice(at, 1 + random(2))),
  (frames, at, random) => change(frames, at, { type: random(14) }),
  (frames, at, random) => change(frames, at, { flags: random(256) }),
  (frames, at, random) => change(frames, at, { stream: pick(random, STREAMS) }),
  (frames, at, random) => change(frames, at, { length: pick(random, LENGTHS) }),
  (frames, at, random) =>
    change(frames, at, { payload: Buffer.from(Array.from({ length: random(80) }, () => random(256))) }),
  (frames, at, random) => void frames.splice(at, 0, anyFrame(random)),
  (frames, at, random) => void frames.splice(at, 0, ...Array<Frame>(200).fill(anyFrame(random))),
  splitHeaders,
];

function change(frames: Frame[], at: number, part: Partial<Frame>): void {
  frames[at] = { ...(frames[at] as Frame), ...part };
}

function anyFrame(random: Random): Frame {
  const payload = Buffer.from(pick(random, PAYLOADS), "hex");
  return { type: random(12), flags: pick(random, [0, 1, 4, 5, 8, 32]), stream: pick(random, STREAMS), payload };
}

/** HEADERS and a CONTINUATION (9), or anything in its place. */
function splitHeaders(frames: Frame[], at: number, random: Random): void {
  const frame = frames[at] as Frame;
  if (frame.type !== HEADERS) return;
  const half = random(frame.payload.length + 1);
  const first = { ...frame, flags: frame.flags & ~END_HEADERS, payload: frame.payload.subarray(0, half) };
  const second = {
    type: pick(random, [9, 9, 9, 0, 1, 6]),
    flags: END_HEADERS,
    stream: frame.stream,
    payload: frame.payload.subarray(half),
  };
  frames.splice(at, 1, first, second);
}

/** The frames after one to three changes. */
export function mutateFrames(frames: readonly Frame[], random: Random): Frame[] {
  const changed = [...frames];
  for (let count = 1 + random(3); count > 0 && changed.length > 0; count -= 1) {
    pick(random, CHANGES)(changed, random(changed.length), random);
  }
  return changed;
}
