/** Answers, refusals, metadata and streams: the same in every protocol. */

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, encodeBinaryHeader } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AppError, type Reason } from "../../src/errors.ts";
import {
  type Expected,
  inEvery,
  type Matrix,
  type Note,
  type NoteFields,
  note,
  say,
  startMatrix,
  watch,
} from "./matrix.ts";
import { badRequestDetail, detail } from "./outcome.ts";

/** A text that each protocol has to spell in its own way where it stands in a header. */
const ODD_TEXT = '50% off, %3A: caf\u00e9 \u20ac \u{1f600}\n\u2028"\\#/?&=+;@$';
const BYTES = new Uint8Array([0, 0xff, 0x0a, 0x80]);

let matrix: Matrix;

beforeAll(async () => {
  matrix = await startMatrix();
});
afterAll(async () => {
  await matrix?.close();
});

async function compare(call: Parameters<Matrix["run"]>[0], expected: Expected) {
  expect(await matrix.run(call)).toEqual(inEvery(matrix.protocols, expected));
}

describe("success", () => {
  test.each<[name: string, fields: NoteFields]>([
    ["an empty message", {}],
    ["every field", { text: ODD_TEXT, data: BYTES, number: -7 }],
    ["a message of many frames", { text: "x".repeat(300_000), data: new Uint8Array(300_000).fill(0x80) }],
  ])("%s", async (_name, fields) => {
    matrix.serve({ say: (request) => request });
    await compare({ method: say, request: note(fields) }, { messages: [note(fields)] });
  });

  test("one message after the other", async () => {
    const notes = Array.from({ length: 50 }, (_, number) => note({ number, text: ODD_TEXT, data: BYTES }));
    matrix.serve({
      watch: async function* () {
        yield* notes;
      },
    });
    await compare({ method: watch, request: note() }, { messages: notes });
  });

  test("a stream of nothing", async () => {
    matrix.serve({ watch: async function* () {} });
    await compare({ method: watch, request: note() }, {});
  });
});

const DOMAIN = "webhooks.alumia";

const REASONS: Readonly<Record<Reason, [code: keyof typeof Code, rest: string]>> = {
  BAD_REQUEST: ["InvalidArgument", "400"],
  UNAUTHORIZED: ["Unauthenticated", "401"],
  FORBIDDEN: ["PermissionDenied", "403"],
  NOT_FOUND: ["NotFound", "404"],
  REQUEST_TIMEOUT: ["DeadlineExceeded", "408"],
  CONFLICT: ["Aborted", "409"],
  PAYLOAD_TOO_LARGE: ["ResourceExhausted", "413"],
  TOO_MANY_REQUESTS: ["ResourceExhausted", "429"],
  CANCELED: ["Canceled", "499"],
  INTERNAL: ["Internal", "500"],
  UNIMPLEMENTED: ["Unimplemented", "501"],
  SERVICE_UNAVAILABLE: ["Unavailable", "503"],
  DEADLINE_EXCEEDED: ["DeadlineExceeded", "504"],
};

/** Every code and its REST form (TRANSCODING row 66). */
const CODES: readonly [code: keyof typeof Code, rest: string][] = [
  ["Canceled", "499 CANCELED"],
  ["Unknown", "500 INTERNAL"],
  ["InvalidArgument", "400 BAD_REQUEST"],
  ["DeadlineExceeded", "504 DEADLINE_EXCEEDED"],
  ["NotFound", "404 NOT_FOUND"],
  ["AlreadyExists", "409 CONFLICT"],
  ["PermissionDenied", "403 FORBIDDEN"],
  ["ResourceExhausted", "429 TOO_MANY_REQUESTS"],
  ["FailedPrecondition", "400 BAD_REQUEST"],
  ["Aborted", "409 CONFLICT"],
  ["OutOfRange", "400 BAD_REQUEST"],
  ["Unimplemented", "501 UNIMPLEMENTED"],
  ["Internal", "500 INTERNAL"],
  ["Unavailable", "503 SERVICE_UNAVAILABLE"],
  ["DataLoss", "500 INTERNAL"],
  ["Unauthenticated", "401 UNAUTHORIZED"],
];

interface Refusal {
  readonly error: () => unknown;
  readonly expected: Expected & { rest: string };
}

const VIOLATIONS = [
  { field: "a[0].b", rule: "string.max_len", message: ODD_TEXT },
  { field: "", rule: "either", message: "one of them" },
];
const violationsDetail = badRequestDetail(VIOLATIONS.map((it) => [it.field, it.rule, it.message]));

const REFUSALS: readonly (readonly [name: string, refusal: Refusal])[] = [
  ...Object.entries(REASONS).map(([reason, [code, status]]): [string, Refusal] => [
    reason,
    {
      error: () => new AppError(reason as Reason, ODD_TEXT, { violations: VIOLATIONS }),
      expected: {
        code,
        message: ODD_TEXT,
        details: [detail(ErrorInfoSchema, { reason, domain: DOMAIN }), violationsDetail],
        rest: `${status} ${reason}`,
      },
    },
  ]),
  ...CODES.map(([code, rest]): [string, Refusal] => [
    `the code ${code}`,
    {
      error: () => {
        const error = new ConnectError(`because of ${code}`, Code[code]);
        const value = { fieldViolations: [{ field: "a", reason: "r", description: "d" }] };
        error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, value) });
        return error;
      },
      expected: { code, message: `because of ${code}`, details: [badRequestDetail([["a", "r", "d"]])], rest },
    },
  ]),
  [
    "a fault of ours, whose cause is not told",
    {
      error: () => new TypeError("secret"),
      expected: { code: "Internal", message: "internal error", rest: "500 INTERNAL" },
    },
  ],
  [
    "metadata",
    {
      error: () => {
        const error = new ConnectError("with metadata", Code.NotFound);
        error.metadata.append("x-ascii", "one");
        error.metadata.append("x-ascii", "two");
        error.metadata.append("x-data-bin", encodeBinaryHeader(BYTES));
        return error;
      },
      expected: {
        code: "NotFound",
        message: "with metadata",
        trailers: { "x-ascii": ["one", "two"], "x-data-bin": [encodeBinaryHeader(BYTES)] },
        rest: "404 NOT_FOUND",
      },
    },
  ],
];

async function* messagesThenError(messages: readonly Note[], error: unknown) {
  yield* messages;
  throw error;
}

describe.each(REFUSALS)("a refusal: %s", (_name, { error, expected }) => {
  test("of a unary RPC", async () => {
    matrix.serve({
      say: () => {
        throw error();
      },
    });
    await compare({ method: say, request: note() }, expected);
  });

  test("of a stream, before its first message", async () => {
    matrix.serve({ watch: () => messagesThenError([], error()) });
    await compare({ method: watch, request: note() }, expected);
  });

  test("of a stream, after some messages", async () => {
    const messages = [note({ number: 1 }), note({ number: 2 })];
    matrix.serve({ watch: () => messagesThenError(messages, error()) });
    // The head is out: REST can tell its code, not another status; metadata have no place any more.
    const rest = expected.rest.replace(/^\d+/, "200");
    const except = { rest: { code: rest, trailers: {} } };
    await compare({ method: watch, request: note() }, { ...expected, messages, except });
  });
});

test("a message that breaks the rules of its proto does not reach the service", async () => {
  matrix.serve({
    say: () => note({ text: "reached" }),
    watch: async function* () {
      yield note({ text: "reached" });
    },
  });
  const message = "must be less than or equal to 1000";
  const expected: Expected = {
    code: "InvalidArgument",
    message: `number: ${message}`,
    details: [
      detail(ErrorInfoSchema, { reason: "BAD_REQUEST", domain: DOMAIN }),
      badRequestDetail([["number", "int32.lte", message]]),
    ],
    rest: "400 BAD_REQUEST",
  };
  for (const method of [say, watch]) await compare({ method, request: note({ number: 1_001 }) }, expected);
});

describe("metadata", () => {
  const headers = [
    ["x-ascii", "one"],
    ["x-ascii", "two"],
    ["x-punctuated", "a;b=c (d) %20"],
    ["x-data-bin", encodeBinaryHeader(BYTES)],
  ] as const;
  const received = (header: Headers) =>
    ["x-ascii", "x-punctuated", "x-data-bin"].map((name) => header.get(name)?.replace(/=+$/, "")).join(" | ");
  const text = `one, two | a;b=c (d) %20 | ${encodeBinaryHeader(BYTES)}`;

  test("that the client sends reach the service", async () => {
    matrix.serve({
      say: (_request, { requestHeader }) => note({ text: received(requestHeader) }),
      watch: async function* (_request, { requestHeader }) {
        yield note({ text: received(requestHeader) });
      },
    });
    for (const method of [say, watch]) {
      await compare({ method, request: note(), headers }, { messages: [note({ text })] });
    }
  });

  test("that the service sets reach the client, as headers and as trailers", async () => {
    const set = ({ responseHeader, responseTrailer }: { responseHeader: Headers; responseTrailer: Headers }) => {
      for (const [name, value] of headers) responseHeader.append(name, value);
      responseTrailer.append("x-after", "three");
      responseTrailer.append("x-after", "four");
      responseTrailer.append("x-after-bin", encodeBinaryHeader(BYTES));
    };
    matrix.serve({
      say: (request, context) => {
        set(context);
        return request;
      },
      watch: async function* (request, context) {
        set(context);
        yield request;
      },
    });
    const expected = {
      messages: [note({ number: 1 })],
      headers: {
        "x-ascii": ["one", "two"],
        "x-punctuated": ["a;b=c (d) %20"],
        "x-data-bin": [encodeBinaryHeader(BYTES)],
      },
      trailers: { "x-after": ["three", "four"], "x-after-bin": [encodeBinaryHeader(BYTES)] },
    };
    for (const method of [say, watch]) await compare({ method, request: note({ number: 1 }) }, expected);
  });
});
