/** Signed events as a provider sends them, from closed loops or at a fixed rate. */
import { createHmac, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sample } from "./load.ts";
import { loadHttp1 } from "./load-http1.ts";

/** Bytes of every answer to a receive: the id has a fixed length. */
const ANSWER_BYTES = JSON.stringify({ received: true, eventId: "0".repeat(36), duplicate: false }).length;

/** What an event is made of: JSON as providers send it, or JSON around text that does not compress. */
export type BodyKind = "json" | "random";

/** About so many bytes, with `n` to know it by. */
export function eventBody(bytes: number, n = 0, kind: BodyKind = "json"): string {
  return `{"n":${n},${(kind === "json" ? jsonOf : randomOf)(bytes)}`;
}

const made = new Map<number, string>();

function jsonOf(bytes: number): string {
  const known = made.get(bytes);
  if (known !== undefined) return known;
  let text = '"type":"order.paid","items":[';
  for (let n = 0; text.length < bytes - 80; n++) {
    const item = { id: `item_${(n * 7_919 + 104_729).toString(36)}`, sku: n * 31 + 7, price: (n * 1_299) % 10_007 };
    text += `${n === 0 ? "" : ","}${JSON.stringify(item)}`;
  }
  text += `],"note":"${"-".repeat(Math.max(bytes - text.length - 20, 0))}"}`;
  made.set(bytes, text);
  return text;
}

const randomOf = (bytes: number): string =>
  `"type":"order.paid","note":"${randomBytes(Math.floor(((bytes - 40) * 3) / 4)).toString("base64")}"}`;

/** One request with its signature, ready to be written to a socket. */
export function signedRequest(path: string, secret: string, body: string): Buffer {
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

export interface ReceiveLoad {
  readonly port: number;
  readonly path: string;
  readonly secret: string;
  readonly connections: number;
  readonly bytes: number;
  readonly durationMs: number;
}

/** One request under way on each connection, the same bytes again and again; every answer must be a 200. */
export const loadReceives = ({ port, path, secret, connections, bytes, durationMs }: ReceiveLoad): Promise<Sample> =>
  loadHttp1({
    port,
    connections,
    durationMs,
    request: signedRequest(path, secret, eventBody(bytes)),
    answerBodyBytes: ANSWER_BYTES,
  });

export interface RateLoad extends Omit<ReceiveLoad, "connections"> {
  readonly rate: number;
  readonly kind?: BodyKind;
  /** Told of each request as it is due: its number, and when. */
  readonly onDue?: (n: number, dueMs: number) => void;
}

/** Connections of a load at a fixed rate. */
const RATE_CONNECTIONS = 64;

/**
 * Requests at a fixed rate, numbered from 0; latencies count from the time at which each was due, so that a server that
 * stalls cannot hide it.
 */
export async function loadAtRate({
  port,
  path,
  secret,
  bytes,
  durationMs,
  rate,
  kind,
  onDue,
}: RateLoad): Promise<Sample> {
  const startMs = performance.now();
  const total = Math.floor((rate * durationMs) / 1_000);
  const latencies: number[] = [];
  let sent = 0;
  const run = async () => {
    const sender = new Sender(port);
    while (sent < total) {
      const n = sent++;
      const dueMs = startMs + (n * 1_000) / rate;
      const request = signedRequest(path, secret, eventBody(bytes, n, kind));
      const restMs = dueMs - performance.now();
      if (restMs > 0) await sleep(restMs);
      onDue?.(n, dueMs);
      await sender.send(request);
      latencies.push(performance.now() - dueMs);
    }
    sender.close();
  };
  await Promise.all(Array.from({ length: Math.min(RATE_CONNECTIONS, total) }, run));
  const seconds = (performance.now() - startMs) / 1_000;
  return { answers: latencies.length, seconds, latenciesMs: Float64Array.from(latencies).sort() };
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
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer)?.[1];
      if (head === -1 || answer.length < head + 4 + Number(length)) return;
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
