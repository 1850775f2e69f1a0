/** Telling protocols apart by the first bytes of a connection, which are put back for whoever speaks the protocol. */
import type { Socket } from "node:net";

/** With this an HTTP/2 client begins (RFC 9113 §3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** The type of a TLS record that holds a handshake (RFC 8446 §5.1), with which a TLS client begins. */
const TLS_HANDSHAKE = 0x16;

/** Whether the bytes begin HTTP/2; undefined while they may still become the preface. */
export function beginsHttp2(bytes: Buffer): boolean | undefined {
  const length = Math.min(bytes.length, PREFACE.length);
  const matches = bytes.subarray(0, length).equals(PREFACE.subarray(0, length));
  return matches && length < PREFACE.length ? undefined : matches;
}

export const beginsTls = (bytes: Buffer): boolean => bytes[0] === TLS_HANDSHAKE;

/** Reads until `decide` has an answer, puts the bytes back and calls `then`. A connection that breaks before is destroyed. */
export function sniff(
  socket: Socket,
  decide: (bytes: Buffer) => boolean | undefined,
  then: (answer: boolean) => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const destroy = () => socket.destroy();
  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const answer = decide(seen);
    if (answer === undefined) return;
    socket.off("readable", onReadable).off("error", destroy).off("end", destroy);
    socket.unshift(seen);
    then(answer);
  };
  socket.on("readable", onReadable).on("error", destroy).on("end", destroy);
}
