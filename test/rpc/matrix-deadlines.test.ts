/** Deadlines, cancellation and clients that do not read: the same in every protocol. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { HandlerContext } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inEvery, type Matrix, note, say, startMatrix, watch } from "./matrix.ts";
import type { Call, Protocol } from "./protocols.ts";

let matrix: Matrix;
/** Those whose clients send what a test says. */
let pliable: readonly Protocol[];

beforeAll(async () => {
  matrix = await startMatrix();
  pliable = matrix.protocols.filter((protocol) => protocol.pliable);
});
afterAll(async () => {
  await matrix?.close();
});

const forever = () => new Promise<never>(() => {});
const METHODS = [say, watch];

describe("deadline", () => {
  const HEADER: Readonly<Record<Protocol["family"], (ms: number) => [string, string]>> = {
    grpc: (ms) => ["grpc-timeout", `${ms}m`],
    "grpc-web": (ms) => ["grpc-timeout", `${ms}m`],
    connect: (ms) => ["connect-timeout-ms", `${ms}`],
    rest: (ms) => ["x-server-timeout", `${ms / 1_000}`],
  };
  const LONG: Readonly<Record<Protocol["family"], [string, string]>> = {
    grpc: ["grpc-timeout", "99999999H"],
    "grpc-web": ["grpc-timeout", "99999999H"],
    connect: ["connect-timeout-ms", "9999999999"],
    rest: ["x-server-timeout", "999999999"],
  };
  const DEADLINE_MS_MAX = 600_000;
  const passed = { code: "DeadlineExceeded", message: "the operation timed out", rest: "504 DEADLINE_EXCEEDED" };

  test("that passes during the call is answered, though the service does not listen", async () => {
    matrix.serve({ say: forever, watch: () => untilNever([]) });
    for (const method of METHODS) {
      const call = ({ family }: Protocol) => ({ method, request: note(), headers: [HEADER[family](50)] });
      expect(await matrix.run(call, pliable)).toEqual(inEvery(pliable, passed));
    }
  });

  test("that passes after some messages ends the stream", async () => {
    const messages = [note({ number: 1 }), note({ number: 2 })];
    matrix.serve({ watch: () => untilNever(messages) });
    const call = ({ family }: Protocol) => ({ method: watch, request: note(), headers: [HEADER[family](200)] });
    const except = { rest: { code: "200 DEADLINE_EXCEEDED" } };
    expect(await matrix.run(call, pliable)).toEqual(inEvery(pliable, { ...passed, messages, except }));
  });

  test("that has passed already keeps the call from the service", async () => {
    let calls = 0;
    const called = () => {
      calls++;
      return note();
    };
    matrix.serve({
      say: called,
      watch: async function* () {
        yield called();
      },
    });
    for (const method of METHODS) {
      const call = ({ family }: Protocol) => ({ method, request: note(), headers: [HEADER[family](0)] });
      expect(await matrix.run(call, pliable)).toEqual(inEvery(pliable, passed));
    }
    expect(calls).toBe(0);
  });

  test("of a stock client's own", async () => {
    matrix.serve({ say: forever, watch: () => untilNever([]) });
    for (const method of METHODS) {
      const outcomes = await matrix.run({ method, request: note(), timeoutMs: 100 });
      for (const { name, family } of matrix.protocols) {
        expect([name, outcomes[name]?.code]).toEqual([name, family === "rest" ? passed.rest : passed.code]);
      }
    }
  });

  test("far away is bounded, and harms no call", async () => {
    const minutesLeft = ({ timeoutMs }: HandlerContext) => note({ number: Math.ceil((timeoutMs() ?? 0) / 60_000) });
    matrix.serve({ say: (_request, context) => minutesLeft(context) });
    const call = ({ family }: Protocol) => ({ method: say, request: note(), headers: [LONG[family]] });
    const messages = [note({ number: DEADLINE_MS_MAX / 60_000 })];
    expect(await matrix.run(call, pliable)).toEqual(inEvery(pliable, { messages }));
  });

  test.each(["soon", "-1", "1e3", "99999999999999999999"])("%j is none: the call is refused", async (value) => {
    matrix.serve({ say: (request) => request, watch: async function* () {} });
    for (const method of METHODS) {
      const call = ({ family }: Protocol): Call => {
        const [name] = HEADER[family](0);
        return { method, request: note(), headers: [[name, value]] };
      };
      const invalid = (protocol: string) => ({
        message: `protocol error: invalid ${protocol} timeout value: ${value}`,
      });
      const except = { grpc: invalid("grpc"), "grpc-web": invalid("grpc"), connect: invalid("connect") };
      const message = "x-server-timeout must be a number of seconds";
      const expected = { code: "InvalidArgument", message, rest: "400 BAD_REQUEST", except };
      expect(await matrix.run(call, pliable)).toEqual(inEvery(pliable, expected));
    }
  });
});

async function* untilNever<Item>(items: readonly Item[]) {
  yield* items;
  await forever();
}

describe("cancel", () => {
  /** Runs a call that the service never answers, cancelled once it is there; resolves to what each end saw. */
  async function cancelled(protocol: Protocol, method: Call["method"], afterMessage: boolean) {
    const client = new AbortController();
    const seen = Promise.withResolvers<AbortSignal>();
    const begin = ({ signal }: HandlerContext) => {
      seen.resolve(signal);
      if (!afterMessage) client.abort();
    };
    matrix.serve({
      say: (_request, context) => {
        begin(context);
        return forever();
      },
      watch: (_request, context) => {
        begin(context);
        return untilNever(afterMessage ? [note()] : []);
      },
    });
    const call = { method, request: note(), signal: client.signal, onMessage: () => client.abort() };
    const { code } = await protocol.call(call);
    const signal = await seen.promise;
    if (!signal.aborted) await once(signal, "abort");
    return code;
  }

  test.each([
    ["a unary call", say, false],
    ["a stream before its first message", watch, false],
    ["a stream after its first message", watch, true],
  ] as const)("%s: the service's signal is raised", async (_name, method, afterMessage) => {
    for (const protocol of matrix.protocols) {
      expect([protocol.name, await cancelled(protocol, method, afterMessage)]).toEqual([protocol.name, "Canceled"]);
    }
  });
});

test("a stream waits for a client that does not read", async () => {
  const text = "x".repeat(64 * 1024);
  const COUNT = 1_000;
  // grpc-js reads on by itself, and keeps what is not asked for.
  for (const protocol of pliable) {
    let made = 0;
    matrix.serve({
      watch: async function* () {
        for (; made < COUNT; made++) yield note({ text });
      },
    });
    const client = new AbortController();
    const onMessage = async () => {
      for (let before = -1; before !== made; ) {
        before = made;
        await sleep(100);
      }
      client.abort();
    };
    await protocol.call({ method: watch, request: note(), signal: client.signal, onMessage });
    expect(made, protocol.name).toBeLessThan(COUNT);
  }
});
