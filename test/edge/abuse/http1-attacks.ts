/** Abuse by HTTP/1 and by bare connections. Each runs in a process of its own, and closes what it opened. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Ended {
  /** Connections that were opened, and those that the service ended. */
  readonly opened: number;
  readonly ended: number;
  /** First lines of the answers, and how often each came. */
  readonly answers: Record<string, number>;
}

interface Target {
  readonly port: number;
}

/** A connection and all that came back on it. */
interface Line {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  answer: string;
}

async function openLine(port: number, localAddress?: string): Promise<Line> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, ...(localAddress ? { localAddress } : {}) });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const line: Line = { socket, closed, answer: "" };
  socket.setEncoding("latin1").on("data", (text: string) => {
    line.answer = (line.answer + text).slice(0, 4_096);
  });
  await once(socket, "connect").catch(() => {});
  socket.on("error", () => {});
  return line;
}

function countAnswers(lines: readonly Line[]): Record<string, number> {
  const answers: Record<string, number> = {};
  for (const { answer } of lines) {
    const first = answer.split("\r\n", 1)[0] ?? "";
    answers[first] = (answers[first] ?? 0) + 1;
  }
  return answers;
}

async function allEnded(lines: readonly Line[]): Promise<Ended> {
  await Promise.all(lines.map(({ closed }) => closed));
  return { opened: lines.length, ended: lines.length, answers: countAnswers(lines) };
}

/** Headers that never end, a byte at a time: until the service has ended all of the connections. */
export async function dribbleHeaders({ port, connections }: Target & { connections: number }): Promise<Ended> {
  const lines = await Promise.all(Array.from({ length: connections }, () => openLine(port)));
  for (const { socket } of lines) socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  const timer = setInterval(() => {
    for (const { socket } of lines) if (socket.writable) socket.write("y");
  }, 50);
  const ended = await allEnded(lines);
  clearInterval(timer);
  return ended;
}
