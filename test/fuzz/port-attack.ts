/** Sends mutated requests to a port, many at a time, for a while. Runs in a process of its own. */
import { connect } from "node:net";
import { encodeFrame, mutateFrames, PREFACE, requestFrames } from "./frames.ts";
import { mutate, pick, type Random, randomOf } from "./mutate.ts";
import { asHttp1, asHttp2, type CorpusRequest, corpusOf, type Target } from "./port-corpus.ts";

export interface PortFuzzArgs extends Target {
  readonly seed: number;
  readonly durationMs: number;
}

export interface PortFuzzReport {
  readonly connections: number;
  /** Connections that were answered with anything. */
  readonly answered: number;
}

/** Connections at the same time. */
const LANES = 16;
/** How long an input waits for more of its answer, milliseconds; some ask for a body that never comes. */
const SILENCE_MS = 40;

export async function fuzzPort({ seed, durationMs, ...target }: PortFuzzArgs): Promise<PortFuzzReport> {
  const corpus = corpusOf(target);
  const endMs = performance.now() + durationMs;
  const report = { connections: 0, answered: 0 };
  const lane = async (random: Random) => {
    while (performance.now() < endMs) {
      report.connections += 1;
      if (await send(target.port, makeInput(corpus, random), random)) report.answered += 1;
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, index) => lane(randomOf(seed * LANES + index))));
  return report;
}

function makeInput(corpus: readonly CorpusRequest[], random: Random): Buffer {
  const request = withMutatedBody(pick(random, corpus), random);
  const other = withMutatedBody(pick(random, corpus), random);
  const others = asHttp1(other, random(2) === 0);
  if (random(2) === 0) {
    const bytes = asHttp1(request, random(3) === 0);
    const changed = random(4) === 0 ? bytes : mutate(bytes, random, others);
    return random(3) === 0 ? Buffer.concat([changed, others]) : changed;
  }
  const frames = mutateFrames(requestFrames([request, other].map(asHttp2)), random);
  const bytes = Buffer.concat(frames.map(encodeFrame));
  return Buffer.concat([PREFACE, random(4) === 0 ? mutate(bytes, random, others) : bytes]);
}

/** Now and then, so that what is inside of well-formed HTTP is met as well. */
function withMutatedBody(request: CorpusRequest, random: Random): CorpusRequest {
  return random(3) === 0 ? { ...request, body: mutate(request.body, random, request.body) } : request;
}

/** Writes in one piece or two, waits until the answer falls silent, and ends the connection in one way or another. */
function send(port: number, bytes: Buffer, random: Random): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let isAnswered = false;
    const end = () => {
      if (random(2) === 0) socket.resetAndDestroy();
      else socket.destroy();
    };
    socket.setTimeout(SILENCE_MS, end);
    socket.on("data", () => {
      isAnswered = true;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(isAnswered));
    const half = random(3) === 0 ? random(bytes.length) : bytes.length;
    socket.write(bytes.subarray(0, half));
    if (half < bytes.length) setImmediate(() => socket.writable && socket.write(bytes.subarray(half)));
    if (random(8) === 0) socket.end();
  });
}
