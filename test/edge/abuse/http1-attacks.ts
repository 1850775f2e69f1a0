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

/** Connections that say nothing: until the service has ended all of them. */
export async function saySilently({ port, connections }: Target & { connections: number }): Promise<Ended> {
  return await allEnded(await Promise.all(Array.from({ length: connections }, () => openLine(port))));
}

/** Connections that ask once and stay, opened in turns. */
export async function stayIdle({ port, connections }: Target & { connections: number }): Promise<Ended> {
  const lines: Line[] = [];
  let ended = 0;
  while (lines.length < connections) {
    const opened = await Promise.all(Array.from({ length: 50 }, () => openLine(port)));
    for (const line of opened) {
      void line.closed.then(() => {
        ended += 1;
      });
      line.socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    await Promise.all(opened.map(({ socket }) => once(socket, "data")));
    lines.push(...opened);
  }
  const report = { opened: lines.length, ended, answers: countAnswers(lines) };
  for (const { socket } of lines) socket.destroy();
  return report;
}

/** The same bytes on one connection after the other, each until the service ends it; several at a time. */
export async function repeat({ port, times, bytes }: Target & { times: number; bytes: string }): Promise<Ended> {
  const lines: Line[] = [];
  const attack = async () => {
    while (lines.length < times) {
      const line = await openLine(port);
      lines.push(line);
      line.socket.write(bytes, "latin1");
      await line.closed;
    }
  };
  await Promise.all(Array.from({ length: 20 }, attack));
  return { opened: lines.length, ended: lines.length, answers: countAnswers(lines) };
}

/** Many requests at once on each connection; resolves to how many of each connection were answered, all with 200. */
export async function pipeline(args: Target & { connections: number; requests: number }): Promise<number[]> {
  const bytes = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(args.requests);
  const attack = async () => {
    const line = await openLine(args.port);
    let answered = 0;
    line.socket.on("data", (text: string) => {
      answered += text.split("HTTP/1.1 200 OK").length - 1;
    });
    line.socket.write(bytes);
    await line.closed;
    return answered;
  };
  return await Promise.all(Array.from({ length: args.connections }, attack));
}

/** Asks for a large answer again and again, and takes nothing of it: until the service has ended all of the connections. */
export async function takeNothing(
  args: Target & { connections: number; path: string; key: string },
): Promise<Omit<Ended, "answers">> {
  const request = `GET ${args.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${args.key}\r\n\r\n`;
  const attack = async () => {
    const socket = connect({ port: args.port, host: "127.0.0.1" });
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write(request.repeat(10));
    // A connection whose end is not read is not seen to end, except by writing to it.
    const closed = new Promise((resolve) => socket.once("close", resolve));
    const timer = setInterval(() => socket.write("x"), 100);
    await closed;
    clearInterval(timer);
  };
  await Promise.all(Array.from({ length: args.connections }, attack));
  return { opened: args.connections, ended: args.connections };
}
