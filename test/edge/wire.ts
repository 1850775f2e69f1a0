/** Speaking to the port byte by byte. */
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";

/** A connection that has been accepted by this machine's kernel. */
export async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return socket;
}

/** Sends bytes as they are; resolves to all that comes back until the connection is closed. */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const socket = await open(port);
  // A connection that is reset after its answer has still been answered.
  const answer = text(socket).catch(() => "");
  socket.write(bytes);
  return await answer;
}

/** The status of a raw answer; undefined where none came. */
export function statusOf(answer: string): number | undefined {
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1];
  return status === undefined ? undefined : Number(status);
}

/** The JSON body of a raw answer. */
export function jsonOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}
