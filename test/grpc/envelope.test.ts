/** One message in its envelope, in whatever pieces it comes. */
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { EnvelopeReader, encodeEnvelope } from "../../src/grpc/envelope.ts";

const BYTES_MAX = 300;

function read(...pieces: readonly Uint8Array[]) {
  const reader = new EnvelopeReader(BYTES_MAX);
  for (const piece of pieces) reader.push(Buffer.from(piece));
  return reader.end();
}

const message = Uint8Array.from({ length: BYTES_MAX }, (_, index) => index);
const bytes = encodeEnvelope({ compressed: false, data: message });

describe("the message arrives", () => {
  test.each([1, 2, 4, 5, 6, 7, 100, BYTES_MAX + 5])("in pieces of %i bytes", (size) => {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    );
    expect(read(...pieces)).toEqual({ compressed: false, data: message });
  });

  test("with empty pieces between", () => {
    const nothing = new Uint8Array();
    expect(read(nothing, bytes.subarray(0, 3), nothing, bytes.subarray(3), nothing).data).toEqual(message);
  });

  test("with no bytes at all", () => {
    expect(read(Buffer.alloc(5))).toEqual({ compressed: false, data: new Uint8Array() });
  });

  test("compressed, and as plain bytes that are no Buffer", () => {
    const { compressed, data } = read(encodeEnvelope({ compressed: true, data: message }));
    expect([compressed, Buffer.isBuffer(data)]).toEqual([true, false]);
  });
});

test("an envelope has a byte of flags and four of length", () => {
  expect([...encodeEnvelope({ compressed: true, data: new Uint8Array([7]) })]).toEqual([1, 0, 0, 0, 1, 7]);
});

test.each<[what: string, code: Code, problem: string, pieces: Uint8Array[]]>([
  ["nothing", Code.Unimplemented, "missing input message", []],
  ["half a head", Code.InvalidArgument, "incomplete envelope", [bytes.subarray(0, 4)]],
  ["half a message", Code.InvalidArgument, "incomplete envelope", [bytes.subarray(0, 100)]],
  ["two messages", Code.Unimplemented, "received extra input message", [bytes, bytes]],
  ["two messages in one piece", Code.Unimplemented, "extra input", [Buffer.concat([bytes, bytes])]],
  [
    "a head that announces too much",
    Code.ResourceExhausted,
    "message size 301 is larger",
    [Buffer.from([0, 0, 0, 1, 45])],
  ],
  ["the largest length", Code.ResourceExhausted, "message size 4294967295", [Buffer.from([0, 255, 255, 255, 255])]],
])("%s is refused", (_what, code, problem, pieces) => {
  expect(() => read(...pieces)).toThrow(
    expect.objectContaining({ code, rawMessage: expect.stringContaining(problem) }),
  );
});
