/** Signed events at the lowest cost to the sender: the same prebuilt bytes again and again. */
import { createHmac } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sample } from "./load.ts";
import { loadHttp1 } from "./load-http1.ts";

/** Bytes of every answer to a receive: the id has a fixed length. */
const ANSWER_BYTES = JSON.stringify({ received: true, eventId: "0".repeat(36), duplicate: false }).length;

/** A request as a provider sends it; the body is JSON of about `bytes` bytes that does not compress to nothing. */
export function signedRequest(path: string, secret: string, bytes: number): Buffer {
  const body = JSON.stringify(eventOf(bytes));
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: hooks.example.com",
    "User-Agent: bench/1.0",
    "Accept: */*",
    "Content-Type: application/json",
    `X-Hub-Signature-256: sha256=${signature}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function eventOf(bytes: number): object {
  const event = { type: "order.paid", items: [] as object[] };
  for (let n = 0; JSON.stringify(event).length < bytes; n++) {
    event.items.push({
      id: `item_${(n * 7_919 + 104_729).toString(36)}`,
      sku: n * 31 + 7,
      price: (n * 1_299) % 10_007,
    });
  }
  return event;
}

export interface ReceiveLoad {
  readonly port: number;
  readonly path: string;
  readonly secret: string;
  readonly connections: number;
  readonly bytes: number;
  readonly durationMs: number;
}

/** One request under way on each connection; every answer must be a 200. */
export const loadReceives = ({ port, path, secret, connections, bytes, durationMs }: ReceiveLoad): Promise<Sample> =>
  loadHttp1({
    port,
    connections,
    durationMs,
    request: signedRequest(path, secret, bytes),
    answerBodyBytes: ANSWER_BYTES,
  });

/** Connections of a load at a fixed rate. */
const RATE_CONNECTIONS = 64;

/**
 * Requests at a fixed rate; latencies count from the time at which each was due, so that a server that stalls cannot
 * hide it.
 */
export async function loadAtRate(load: Omit<ReceiveLoad, "connections">, rate: number): Promise<Sample> {
  const request = signedRequest(load.path, load.secret, load.bytes);
  const startMs = performance.now();
  const total = Math.floor((rate * load.durationMs) / 1_000);
  const latencies: number[] = [];
  let sent = 0;
  const run = async () => {
    const sender = new Sender(load.port);
    while (sent < total) {
      const dueMs = startMs + (sent++ * 1_000) / rate;
      await reached(dueMs);
      await sender.send(request);
      latencies.push(performance.now() - dueMs);
    }
    sender.close();
  };
  await Promise.all(Array.from({ length: Math.min(RATE_CONNECTIONS, total) }, run));
  const seconds = (performance.now() - startMs) / 1_000;
  return { answers: latencies.length, seconds, latenciesMs: Float64Array.from(latencies).sort() };
}

async function reached(ms: number): Promise<void> {
  const restMs = ms - performance.now();
  if (restMs > 1) await sleep(restMs - 1);
  while (performance.now() < ms) await new Promise(setImmediate);
}

/** One keep-alive connection. */
class Sender {
  readonly #socket: ReturnType<typeof connect>;
  #answered: (error?: Error) => void = () => {};

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("error", (error) => this.#answered(error));
    let answer = "";
    this.#socket.setEncoding("latin1").on("data", (chunk: string) => {
      answer += chunk;
      const head = answer.indexOf("\r\n\r\n");
      if (head === -1 || answer.length < head + 4 + ANSWER_BYTES) return;
      const good = answer.startsWith("HTTP/1.1 200 ");
      this.#answered(good ? undefined : new Error(answer));
      answer = "";
    });
  }

  send(request: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = (error) => (error ? reject(error) : resolve());
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
