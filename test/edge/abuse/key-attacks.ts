/**
 * Floods of calls with API keys that nobody has, another with each call. In a process of its own; closes what it opened.
 * Raw frames make the flood, so that it costs less to send than to answer; one ordinary session among them reads what is
 * answered.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { FLAG, FRAME, FRAME_HEAD_BYTES, frame, headerBlocks, opening } from "../../bench/http2-frames.ts";
import { type Statuses, statusOfStream } from "./body-attacks.ts";

export type FloodedProtocol = "gRPC" | "Connect" | "REST";

export interface KeyFlood {
  readonly port: number;
  /** The loopback address to come from. */
  readonly from: string;
  readonly protocol: FloodedProtocol;
  readonly connections: number;
  /** Calls of each connection that wait for their answer at any time. */
  readonly streams: number;
  readonly forMs: number;
}

export interface KeyFloodReport {
  /** Calls that were answered. */
  readonly answered: number;
  /** What those of the ordinary session were told. */
  readonly statuses: Statuses;
}

interface Call {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

const RPC_PATH = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
const CALLS: Readonly<Record<FloodedProtocol, Call>> = {
  gRPC: {
    headers: { ":method": "POST", ":path": RPC_PATH, "content-type": "application/grpc", te: "trailers" },
    body: Buffer.alloc(5),
  },
  Connect: {
    headers: { ":method": "POST", ":path": RPC_PATH, "content-type": "application/json" },
    body: Buffer.from("{}"),
  },
  REST: { headers: { ":method": "GET", ":path": "/api/v1/webhooks" } },
};

export const madeUpKey = () => `Bearer alm_live_${randomBytes(16).toString("hex")}`;

export async function floodKeys(flood: KeyFlood): Promise<KeyFloodReport> {
  const untilMs = performance.now() + flood.forMs;
  const raw = Array.from({ length: flood.connections - 1 }, async () => callRaw(flood, await open(flood), untilMs));
  const statuses = callOrdinarily(flood, untilMs);
  const answered = (await Promise.all(raw)).reduce((sum, count) => sum + count, 0);
  return { answered, statuses: await statuses };
}

async function open({ port, from }: KeyFlood): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", localAddress: from, noDelay: true });
  await once(socket, "connect");
  return socket.on("error", () => {});
}

/** The next call as soon as one is answered. Resolves to how many were. */
async function callRaw({ protocol, streams }: KeyFlood, socket: Socket, untilMs: number): Promise<number> {
  const { headers, body } = CALLS[protocol];
  const { first, again } = headerBlocks({ ":scheme": "http", ":authority": "x", ...headers });
  let nextId = 1;
  let answered = 0;
  const call = (): Buffer => {
    const block = Buffer.concat([nextId === 1 ? first : again, unindexed("authorization", madeUpKey())]);
    const id = nextId;
    nextId += 2;
    if (!body) return frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, block);
    return Buffer.concat([
      frame(FRAME.headers, FLAG.endHeaders, id, block),
      frame(FRAME.data, FLAG.endStream, id, body),
    ]);
  };
  let rest: Buffer = Buffer.alloc(0);
  const ended = new Promise<void>((resolve, reject) => {
    socket.once("close", () => reject(new Error("the flood's connection was closed")));
    socket.on("data", (chunk: Buffer) => {
      const frames = framesOf(Buffer.concat([rest, chunk]));
      rest = frames.rest;
      answered += frames.ended;
      if (performance.now() < untilMs) socket.write(Buffer.concat(Array.from({ length: frames.ended }, call)));
      else if (answered === (nextId - 1) / 2) resolve();
    });
  });
  socket.write(Buffer.concat([opening(), ...Array.from({ length: streams }, call)]));
  await ended;
  socket.destroy();
  return answered;
}

/** A literal header that leaves HPACK's table as it is (RFC 7541 §6.2.2). */
const unindexed = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);

/** How many streams the frames end, and what is left of the last one. */
function framesOf(bytes: Buffer): { readonly ended: number; readonly rest: Buffer } {
  let ended = 0;
  let at = 0;
  while (bytes.length - at >= FRAME_HEAD_BYTES) {
    const length = FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
    if (bytes.length - at < length) break;
    const type = bytes.readUInt8(at + 3);
    const ends = (bytes.readUInt8(at + 4) & FLAG.endStream) !== 0;
    if (ends && (type === FRAME.headers || type === FRAME.data)) ended += 1;
    at += length;
  }
  return { ended, rest: bytes.subarray(at) };
}

async function callOrdinarily(flood: KeyFlood, untilMs: number): Promise<Statuses> {
  const statuses: Statuses = {};
  const socket = await open(flood);
  const session = connectHttp2(`http://127.0.0.1:${flood.port}`, { createConnection: () => socket });
  session.on("error", () => {});
  const callOn = async () => {
    while (performance.now() < untilMs) {
      const status = await statusOfStream(call(session, CALLS[flood.protocol]));
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: flood.streams }, callOn));
  session.destroy();
  return statuses;
}

function call(session: ClientHttp2Session, { headers, body }: Call): ClientHttp2Stream {
  const stream = session.request({ ...headers, authorization: madeUpKey() }, { endStream: body === undefined });
  if (body) stream.end(body);
  return stream.on("error", () => {});
}
