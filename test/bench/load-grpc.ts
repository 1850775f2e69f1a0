/**
 * gRPC unary calls at the lowest cost to the caller: prebuilt frames on plain sockets. Every answer's DATA is compared
 * with the expected message in length, so a refusal, which has none, ends the run.
 */
import { connect, type Socket } from "node:net";
import { FLAG, FRAME, FRAME_HEAD_BYTES, frame, type HeaderBlocks, opening, windowUpdate } from "./http2-frames.ts";
import { type Load, runLoops, type Sample } from "./load.ts";

export interface GrpcLoad extends Load {
  readonly streams: number;
  readonly headers: HeaderBlocks;
  /** The request's envelope. */
  readonly request: Uint8Array;
  /** Length of the answer's envelope, bytes. */
  readonly answerBytes: number;
}

/** After this many bytes of answers the connection's window is opened again. */
const WINDOW_STEP_BYTES = 2 ** 26;

export const loadGrpc = (load: GrpcLoad): Promise<Sample> =>
  runLoops(load, (untilMs) => new Connection(load, untilMs).latenciesMs);

class Connection {
  readonly latenciesMs: Promise<number[]>;
  readonly #load: GrpcLoad;
  readonly #untilMs: number;
  readonly #socket: Socket;
  readonly #again: Buffer;
  readonly #done: number[] = [];
  /** Start and received bytes of the calls under way, by stream. */
  readonly #calls = new Map<number, { startMs: number; bytes: number }>();
  #nextStream = 1;
  #rest: Buffer = Buffer.alloc(0);
  #unacknowledged = 0;
  #fail: (error: Error) => void = () => {};
  #end: (latencies: number[]) => void = () => {};

  constructor(load: GrpcLoad, untilMs: number) {
    this.#load = load;
    this.#untilMs = untilMs;
    this.#again = requestFrames(load.headers.again, load.request);
    this.#socket = connect({ port: load.port, host: "127.0.0.1", noDelay: true });
    this.latenciesMs = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    this.#socket.once("connect", () => this.#begin());
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the connection was closed")));
  }

  #begin(): void {
    const nowMs = performance.now();
    const writes = [opening(), this.#request(requestFrames(this.#load.headers.first, this.#load.request), nowMs)];
    for (let stream = 1; stream < this.#load.streams; stream++) writes.push(this.#request(this.#again, nowMs));
    this.#socket.write(Buffer.concat(writes));
  }

  /** A copy of the prebuilt frames, for the next stream. */
  #request(frames: Buffer, nowMs: number): Buffer {
    const copy = Buffer.from(frames);
    copy.writeUInt32BE(this.#nextStream, 5);
    copy.writeUInt32BE(this.#nextStream, FRAME_HEAD_BYTES + copy.readUIntBE(0, 3) + 5);
    this.#calls.set(this.#nextStream, { startMs: nowMs, bytes: 0 });
    this.#nextStream += 2;
    return copy;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const writes: Buffer[] = [];
    const nowMs = performance.now();
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      if (bytes.length - at < FRAME_HEAD_BYTES + length) break;
      this.#take(bytes, at, length, nowMs, writes);
      at += FRAME_HEAD_BYTES + length;
    }
    this.#rest = bytes.subarray(at);
    if (writes.length > 0) this.#socket.write(Buffer.concat(writes));
    if (this.#calls.size === 0) this.#finish();
  }

  #take(bytes: Buffer, at: number, length: number, nowMs: number, writes: Buffer[]): void {
    const type = bytes[at + 3];
    const flags = bytes[at + 4] ?? 0;
    const stream = bytes.readUInt32BE(at + 5);
    if (type === FRAME.data) this.#count(stream, length, writes);
    else if (type === FRAME.headers && flags & FLAG.endStream) this.#answered(stream, nowMs, writes);
    else if (type === FRAME.resetStream || type === FRAME.goAway) this.#fail(new Error(`frame ${type} on ${stream}`));
    else if ((type === FRAME.settings || type === FRAME.ping) && !(flags & FLAG.ack)) {
      const payload = bytes.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + length);
      writes.push(frame(type, FLAG.ack, 0, type === FRAME.ping ? payload : Buffer.alloc(0)));
    }
  }

  #count(stream: number, length: number, writes: Buffer[]): void {
    const call = this.#calls.get(stream);
    if (call) call.bytes += length;
    this.#unacknowledged += length;
    if (this.#unacknowledged < WINDOW_STEP_BYTES) return;
    writes.push(windowUpdate(this.#unacknowledged));
    this.#unacknowledged = 0;
  }

  #answered(stream: number, nowMs: number, writes: Buffer[]): void {
    const call = this.#calls.get(stream);
    if (call?.bytes !== this.#load.answerBytes) {
      this.#fail(new Error(`an answer of ${call?.bytes} bytes instead of ${this.#load.answerBytes}`));
      return;
    }
    this.#calls.delete(stream);
    this.#done.push(nowMs - call.startMs);
    if (nowMs < this.#untilMs) writes.push(this.#request(this.#again, nowMs));
  }

  #finish(): void {
    this.#end(this.#done);
    this.#socket.destroy();
  }
}

function requestFrames(block: Buffer, request: Uint8Array): Buffer {
  return Buffer.concat([
    frame(FRAME.headers, FLAG.endHeaders, 0, block),
    frame(FRAME.data, FLAG.endStream, 0, request),
  ]);
}
