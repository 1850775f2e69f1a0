/** HTTP/1.1 requests at the lowest cost to the caller: prebuilt bytes, keep-alive, one request under way on each socket. */
import { connect } from "node:net";
import { type Load, runLoops, type Sample } from "./load.ts";

export interface HttpLoad extends Load {
  readonly request: Uint8Array;
  /** Every answer must be 200 with a body of this length. */
  readonly answerBodyBytes: number;
}

const END_OF_HEAD = "\r\n\r\n";

export const loadHttp1 = (load: HttpLoad): Promise<Sample> => runLoops(load, (untilMs) => loop(load, untilMs));

function loop({ port, request, answerBodyBytes }: HttpLoad, untilMs: number): Promise<number[]> {
  const good = new RegExp(`^HTTP/1.1 200 .*\r\ncontent-length: ${answerBodyBytes}\r\n`, "is");
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const latencies: number[] = [];
  let startMs = 0;
  let answer: Buffer = Buffer.alloc(0);
  const send = () => {
    startMs = performance.now();
    socket.write(request);
  };
  return new Promise((resolve, reject) => {
    socket.once("connect", send);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the connection was closed")));
    socket.on("data", (chunk: Buffer) => {
      answer = answer.length === 0 ? chunk : Buffer.concat([answer, chunk]);
      const head = answer.indexOf(END_OF_HEAD);
      if (head === -1) return;
      if (!good.test(answer.toString("latin1", 0, head + 2))) {
        reject(new Error(answer.toString("latin1")));
        return;
      }
      if (answer.length < head + END_OF_HEAD.length + answerBodyBytes) return;
      answer = Buffer.alloc(0);
      const nowMs = performance.now();
      latencies.push(nowMs - startMs);
      if (nowMs < untilMs) send();
      else {
        resolve(latencies);
        socket.destroy();
      }
    });
  });
}
