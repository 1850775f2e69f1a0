/** Compression and the size of messages: the same in every protocol. */
import { gunzipSync, gzipSync } from "node:zlib";
import type { Compression } from "@connectrpc/connect/protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Expected, inEvery, type Matrix, note, say, startMatrix, watch } from "./matrix.ts";
import { detail } from "./outcome.ts";
import { type Call, type Protocol, requestBytes } from "./protocols.ts";

const MESSAGE_BYTES_MAX = 100_000;
const METHODS = [say, watch];

let matrix: Matrix;
/** Those whose clients send what a test says. */
let pliable: readonly Protocol[];

beforeAll(async () => {
  matrix = await startMatrix({ apiBodyBytesMax: MESSAGE_BYTES_MAX });
  pliable = matrix.protocols.filter((protocol) => protocol.pliable);
});
afterAll(async () => {
  await matrix?.close();
});

const gzip: Compression = {
  name: "gzip",
  compress: async (bytes) => new Uint8Array(gzipSync(bytes)),
  decompress: async (bytes) => new Uint8Array(gunzipSync(bytes)),
};
const garbled = (compress: (bytes: Uint8Array) => Uint8Array): Compression => ({
  ...gzip,
  compress: async (bytes) => new Uint8Array(compress(bytes)),
});
const echo = () =>
  matrix.serve({
    say: (request) => request,
    watch: async function* (request) {
      yield request;
    },
  });

describe("compression", () => {
  const request = note({ text: "compresses well ".repeat(500) });

  test("gzip of requests", async () => {
    echo();
    for (const method of METHODS) {
      const outcomes = await matrix.run({ method, request, send: gzip, accept: gzip });
      expect(outcomes).toEqual(inEvery(matrix.protocols, { messages: [request] }));
    }
  });

  test("gzip of answers, where it is asked for; REST does not compress", async () => {
    echo();
    for (const method of METHODS) {
      const expanded: string[] = [];
      const call = ({ name }: Protocol): Call => {
        const decompress: Compression["decompress"] = (bytes, bytesMax) => {
          expanded.push(name);
          return gzip.decompress(bytes, bytesMax);
        };
        return { method, request, accept: { ...gzip, decompress } };
      };
      expect(await matrix.run(call, pliable)).toEqual(inEvery(pliable, { messages: [request] }));
      expect(expanded).toEqual(pliable.filter(({ family }) => family !== "rest").map(({ name }) => name));
    }
  });

  test("answers that could only be compressed in a way that is not known come as they are", async () => {
    echo();
    for (const method of METHODS) {
      const outcomes = await matrix.run({ method, request, accept: { ...gzip, name: "lzma" } }, pliable);
      expect(outcomes).toEqual(inEvery(pliable, { messages: [request] }));
    }
  });

  const tooLarge = `is larger than ${MESSAGE_BYTES_MAX} bytes`;
  test.each<[name: string, send: Compression, expected: Expected]>([
    [
      "an encoding that is not known",
      { ...gzip, name: "lzma" },
      {
        code: "Unimplemented",
        message: 'unknown compression "lzma": supported encodings are gzip',
        details: [detail(ErrorInfoSchema, { reason: "UNIMPLEMENTED", domain: "webhooks.alumia" })],
        rest: "415 UNSUPPORTED_MEDIA_TYPE",
        except: { rest: { message: "the content-encoding must be identity or gzip" } },
      },
    ],
    ...[
      ["what is not gzip", garbled(() => Buffer.from("plain text"))] as const,
      ["gzip that breaks off", garbled((bytes) => gzipSync(bytes).subarray(0, -9))] as const,
      [
        "gzip whose checksum is wrong",
        garbled((bytes) => gzipSync(bytes).map((byte, index, all) => (index === all.length - 8 ? byte ^ 1 : byte))),
      ] as const,
    ].map(([name, send]): [string, Compression, Expected] => [
      name,
      send,
      {
        code: "InvalidArgument",
        message: "decompression failed",
        rest: "400 BAD_REQUEST",
        except: { rest: { message: "the body is not valid gzip" } },
      },
    ]),
    [
      "gzip that expands past the limit",
      garbled(() => gzipSync(Buffer.alloc(100 * MESSAGE_BYTES_MAX))),
      {
        code: "ResourceExhausted",
        message: `message ${tooLarge} after decompression`,
        rest: "413 PAYLOAD_TOO_LARGE",
        except: { rest: { message: `the body ${tooLarge}` } },
      },
    ],
  ])("%s is refused", async (_name, send, expected) => {
    echo();
    for (const method of METHODS) {
      expect(await matrix.run({ method, request, send, accept: gzip }, pliable)).toEqual(inEvery(pliable, expected));
    }
  });
});

describe("size of a request", () => {
  /** A call whose message has so many bytes in the protocol. */
  function callOf(protocol: Protocol, method: Call["method"], bytes: number, send?: Compression): Call {
    const padded = (length: number) => ({ method, request: note({ text: "x".repeat(length) }) });
    const length = bytes - (requestBytes(protocol, padded(bytes)) - bytes);
    return { ...padded(length), ...(send ? { send, accept: gzip } : {}) };
  }

  test.each([
    ["as sent", undefined],
    ["as gzip expands it", gzip],
  ])("at the limit, %s: it is served", async (_how, send) => {
    matrix.serve({
      say: () => note(),
      watch: async function* () {
        yield note();
      },
    });
    for (const method of METHODS) {
      const call = (protocol: Protocol) => callOf(protocol, method, MESSAGE_BYTES_MAX, send);
      expect(await matrix.run(call)).toEqual(inEvery(matrix.protocols, { messages: [note()] }));
    }
  });

  const over = MESSAGE_BYTES_MAX + 1;
  const declared = (size: string) => `message size${size} is larger than configured readMaxBytes ${MESSAGE_BYTES_MAX}`;
  const expanded = `message is larger than ${MESSAGE_BYTES_MAX} bytes after decompression`;
  test.each([
    // A unary RPC of Connect has no frame that declares the size.
    ["as sent", undefined, declared(` ${over}`), declared("")],
    ["as gzip expands it", gzip, expanded, expanded],
  ])("one byte over, %s: it is refused", async (_how, send, message, unaryConnect) => {
    echo();
    for (const method of METHODS) {
      const call = (protocol: Protocol) => callOf(protocol, method, over, send);
      const except = {
        rest: { message: `the body is larger than ${MESSAGE_BYTES_MAX} bytes` },
        ...(method === say ? { connect: { message: unaryConnect } } : {}),
      };
      const expected = { code: "ResourceExhausted", message, rest: "413 PAYLOAD_TOO_LARGE", except };
      expect(await matrix.run(call)).toEqual(inEvery(matrix.protocols, expected));
    }
  });
});
