/** Abuse by bodies and by receives. Each runs in a process of its own, from an address of its own, and closes what it opened. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";

/** How often each status (or "none") was the answer. */
export type Statuses = Record<string, number>;

interface Target {
  readonly port: number;
  /** Loopback addresses to come from, in turn. */
  readonly from: readonly string[];
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** So many bytes, of this text in base64 again and again. */
export interface Piece {
  readonly of: string;
  readonly bytes: number;
}

/** More than any body is expanded to. */
const BOMB_BYTES = 128 * 1024 * 1024;
const DRIBBLE_MS = 50;

const addressOf = ({ from }: Target, n: number): string => from[n % from.length] ?? "127.0.0.1";

async function open(target: Target, n: number): Promise<Socket> {
  const socket = connect({ port: target.port, host: "127.0.0.1", localAddress: addressOf(target, n), noDelay: true });
  await once(socket, "connect");
  return socket.on("error", () => {});
}

function headOf({ path, headers }: Target, more: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ host: "x", ...headers, ...more }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** The status of the only answer on a connection, once it has ended. */
async function lastStatus(socket: Socket): Promise<string> {
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer = (answer + text).slice(0, 100);
  });
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? "none";
}

function count(statuses: readonly string[]): Statuses {
  const counts: Statuses = {};
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

const times = <Result>(n: number, make: (n: number) => Promise<Result>) =>
  Promise.all(Array.from({ length: n }, (_, index) => make(index)));

/** Bodies of which a first part comes at once and the rest a byte at a time, until the service ends the connections. */
export async function dribbleBodies(target: Target & { connections: number; first: Piece }): Promise<Statuses> {
  const sockets = await times(target.connections, (n) => open(target, n));
  const statuses = Promise.all(sockets.map(lastStatus));
  const first = Buffer.alloc(target.first.bytes, target.first.of, "base64");
  for (const socket of sockets) {
    socket.write(headOf(target, { "content-length": "1000000" }));
    socket.write(first);
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write("x");
  }, DRIBBLE_MS);
  return count(await statuses.finally(() => clearInterval(timer)));
}

/** The same by HTTP/2: many streams of few connections. */
export async function dribbleStreams(
  target: Target & { connections: number; streams: number; first: Piece },
): Promise<Statuses> {
  const sessions = await times(target.connections, async (n) => {
    const socket = await open(target, n);
    return connectHttp2(`http://127.0.0.1:${target.port}`, { createConnection: () => socket }).on("error", () => {});
  });
  const streams = sessions.flatMap((session) =>
    Array.from({ length: target.streams }, () =>
      session.request({ ":method": "POST", ":path": target.path, ...target.headers }).on("error", () => {}),
    ),
  );
  const statuses = Promise.all(streams.map(statusOfStream));
  const first = Buffer.alloc(target.first.bytes, target.first.of, "base64");
  for (const stream of streams) stream.write(first);
  const timer = setInterval(() => {
    for (const stream of streams) if (stream.writable) stream.write("x");
  }, DRIBBLE_MS);
  const counts = count(await statuses.finally(() => clearInterval(timer)));
  for (const session of sessions) session.destroy();
  return counts;
}

export async function statusOfStream(stream: ClientHttp2Stream): Promise<string> {
  let status = "none";
  stream.once("response", (headers) => {
    status = String(headers["grpc-status"] ?? headers[":status"]);
  });
  stream.once("trailers", (trailers) => {
    status = String(trailers["grpc-status"] ?? status);
  });
  stream.resume();
  if (!stream.closed) await new Promise((resolve) => stream.once("close", resolve));
  return status;
}

/** Bodies over the cap, declared or in chunks of no declared total, written as fast as they are read. */
export async function sendOversize(target: Target & { connections: number; bytes: number }): Promise<Statuses> {
  const chunk = Buffer.alloc(65_536, "x");
  const framed = Buffer.concat([Buffer.from("10000\r\n"), chunk, Buffer.from("\r\n")]);
  const statuses = await times(target.connections, async (n) => {
    const socket = await open(target, n);
    const status = lastStatus(socket);
    const isChunked = n % 2 === 0;
    const length = isChunked ? { "transfer-encoding": "chunked" } : { "content-length": String(target.bytes) };
    socket.write(headOf(target, length as Record<string, string>));
    for (let sent = 0; sent < target.bytes && socket.writable; sent += chunk.length) {
      await new Promise((resolve) => socket.write(isChunked ? framed : chunk, resolve));
    }
    return await status;
  });
  return count(statuses);
}

/** One complete request after the other on each connection, for a while. `{id}` in the path is a new id each time. */
export async function flood(target: Target & { connections: number; forMs: number; body: string }): Promise<Statuses> {
  const statuses: string[] = [];
  const untilMs = performance.now() + target.forMs;
  await times(target.connections, async (n) => {
    const socket = (await open(target, n)).setEncoding("latin1");
    while (performance.now() < untilMs && socket.writable) {
      const path = target.path.replace("{id}", randomUUID());
      socket.write(`${headOf({ ...target, path }, { "content-length": String(target.body.length) })}${target.body}`);
      statuses.push(await nextStatus(socket));
    }
    socket.destroy();
  });
  return count(statuses);
}

/** Reads one answer whose body is JSON. */
async function nextStatus(socket: Socket): Promise<string> {
  let answer = "";
  while (!/^HTTP.*\r\n\r\n.*\}$/s.test(answer) && !socket.destroyed) {
    const [text] = (await once(socket, "data").catch(() => [""])) as [string];
    answer += text;
  }
  return answer.slice(9, 12) || "none";
}

/** Bodies that expand a thousandfold. */
export async function sendBombs(target: Target & { connections: number; rounds: number }): Promise<Statuses> {
  const bomb = gzipSync(Buffer.alloc(BOMB_BYTES, " "));
  const statuses: string[] = [];
  for (let round = 0; round < target.rounds; round++) {
    const answers = await times(target.connections, async (n) => {
      const socket = await open(target, n);
      const status = lastStatus(socket);
      socket.write(headOf(target, { "content-length": String(bomb.length), connection: "close" }));
      socket.write(bomb);
      return await status;
    });
    statuses.push(...answers);
  }
  return count(statuses);
}

/** The same as messages of gRPC; counts are of `grpc-status`. */
export async function sendGrpcBombs(target: Target & { streams: number; rounds: number }): Promise<Statuses> {
  const bomb = gzipSync(Buffer.alloc(BOMB_BYTES, " "));
  const head = Buffer.alloc(5);
  head.writeUInt8(1);
  head.writeUInt32BE(bomb.length, 1);
  const socket = await open(target, 0);
  const session = connectHttp2(`http://127.0.0.1:${target.port}`, { createConnection: () => socket });
  const statuses: string[] = [];
  for (let round = 0; round < target.rounds; round++) {
    const answers = await times(target.streams, async () => {
      const stream = session.request({ ":method": "POST", ":path": target.path, ...target.headers });
      stream.on("error", () => {}).end(Buffer.concat([head, bomb]));
      return await statusOfStream(stream);
    });
    statuses.push(...answers);
  }
  session.destroy();
  return count(statuses);
}
