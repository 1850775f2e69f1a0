/** A refusal of a body that is still coming: the answer is complete before its stream is reset (RFC 9113 §8.1). */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";

const HEADERS = 1;
const RST_STREAM = 3;
const END_STREAM = 1;

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => await service?.stop());

const frame = (type: number, flags: number, stream: number, payload: Buffer) => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};

/** A literal header field without indexing (RFC 7541 §6.2.2). */
const literal = (name: string, value: string) =>
  Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);

/** The frames of stream 1 up to its reset, as `type flags`. */
async function framesOf(path: string): Promise<string[]> {
  const socket = connect(service.port, "127.0.0.1");
  const block = Buffer.concat([
    literal(":method", "POST"),
    literal(":scheme", "http"),
    literal(":path", path),
    literal(":authority", "127.0.0.1"),
  ]);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0)), frame(HEADERS, 4, 1, block)]));
  const seen: string[] = [];
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const [type, flags, stream] = [rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5)];
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
      if (stream === 1) seen.push(`${type} ${flags & END_STREAM}`);
      if (stream === 1 && type === RST_STREAM) return seen;
    }
  }
  return seen;
}

test.each(["/nowhere", "/api/v1/webhooks", "/api/v1/webhooks/receive/nobody"])(
  "%s over HTTP/2: the answer ends before the reset",
  async (path) => {
    const frames = await framesOf(path);
    expect(frames.at(0)).toBe("1 0");
    expect(frames.at(-2)).toBe("0 1");
    expect(frames.at(-1)).toBe("3 0");
  },
);
