/** Unary calls, frame by frame: what a stock client cannot send, or does not show. */
import { once } from "node:events";
import { constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { afterEach, describe, expect, test } from "vitest";
import { GetWebhookResponseSchema, type WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import type { GrpcUnaryOptions } from "../../src/grpc/unary.ts";
import { answerOf, frame, MESSAGE_BYTES_MAX, PATH, request, type Served, serve } from "./serve.ts";

let served: Served | undefined;
afterEach(async () => {
  // Whatever has happened: nothing is held once the answers are out.
  expect(served?.account).toEqual({ bytes: 0, open: 0 });
  await served?.close();
});

type Implement = ServiceImpl<typeof WebhookService>["getWebhook"];

const echo: Implement = ({ id }) => ({ webhook: { id } });

async function start(getWebhook: Implement, options: Partial<GrpcUnaryOptions> = {}): Promise<Served> {
  served = await serve({ getWebhook }, options);
  return served;
}

const idOf = (body: Buffer) => fromBinary(GetWebhookResponseSchema, new Uint8Array(body.subarray(5))).webhook?.id;

test("a call is answered with headers, one message and trailers", async () => {
  const { call, failures } = await start(({ id }, context) => {
    context.responseHeader.set("x-head", "1");
    context.responseTrailer.set("x-tail-bin", "AAE");
    return { webhook: { id } };
  });
  const { headers, trailers, body, resetCode } = await call();
  expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc+proto", "x-head": "1" });
  expect(trailers).toMatchObject({ "grpc-status": "0", "x-tail-bin": "AAE" });
  expect([idOf(body), resetCode, failures]).toEqual(["one", constants.NGHTTP2_NO_ERROR, []]);
});

test("a service sees its call", async () => {
  let seen: HandlerContext | undefined;
  const { call } = await start((message, context) => {
    seen = context;
    return echo(message, context);
  });
  await call(undefined, { "x-many": ["a", "b"], "grpc-timeout": "1M" });
  expect(seen).toMatchObject({ protocolName: "grpc", requestMethod: "POST", method: { name: "GetWebhook" } });
  expect(seen?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/alumia\.webhooks\.v1\.WebhookService\/GetWebhook$/);
  expect(seen?.requestHeader.get("x-many")).toBe("a, b");
  expect(seen?.timeoutMs()).toBeGreaterThan(0);
  // It has ended, so whoever still works on it may stop.
  expect(seen?.signal.aborted).toBe(true);
});

test.each([
  ["another path", { ":path": "/a.b.C/D" }],
  ["another method", { ":method": "PUT" }],
  ["gRPC-Web", { "content-type": "application/grpc-web+proto" }],
  ["Connect", { "content-type": "application/proto" }],
  ["a streaming method", { ":path": "/alumia.webhooks.v1.EventService/GetEventBody" }],
])("%s is left to others", async (_what, headers) => {
  const { call } = await start(echo);
  expect((await call(frame(request()), headers)).headers[":status"]).toBe(404);
});

describe("an error", () => {
  const refuse = () => {
    throw new ConnectError("no", Code.NotFound, { "x-why": "gone" });
  };
  const status = { "grpc-status": "5", "grpc-message": "no", "x-why": "gone" };

  test("is one HEADERS frame", async () => {
    const { headers, trailers, body } = await (await start(refuse)).call();
    expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc+proto", ...status });
    expect([trailers, body.length]).toEqual([undefined, 0]);
  });

  test("comes in trailers where the service has set headers", async () => {
    const { call } = await start((_message, context) => {
      context.responseHeader.set("x-head", "1");
      context.responseTrailer.set("x-tail", "2");
      return refuse();
    });
    const { headers, trailers } = await call();
    expect(headers).toMatchObject({ "x-head": "1" });
    expect(headers).not.toHaveProperty("grpc-status");
    expect(trailers).toMatchObject({ ...status, "x-tail": "2" });
  });

  test("of ours is told to us, not to the client", async () => {
    const fault = new Error("secret");
    const { call, failures } = await start(() => {
      throw fault;
    });
    expect((await call()).headers).toMatchObject({ "grpc-status": "13", "grpc-message": "internal error" });
    expect(failures).toEqual([fault]);
  });
});

describe("the body", () => {
  test.each<[what: string, body: Uint8Array, headers: Record<string, string>, status: Code]>([
    ["none", new Uint8Array(), {}, Code.Unimplemented],
    ["two messages", Buffer.concat([frame(request()), frame(request())]), {}, Code.Unimplemented],
    ["half a message", frame(request()).subarray(0, 7), {}, Code.InvalidArgument],
    ["no such message", frame(Buffer.from([0xff])), {}, Code.InvalidArgument],
    ["compressed without saying how", frame(gzipSync(request()), 1), {}, Code.InvalidArgument],
    ["a timeout that is none", frame(request()), { "grpc-timeout": "soon" }, Code.InvalidArgument],
  ])("%s is refused, and the session goes on", async (_what, body, headers, status) => {
    const { call, failures } = await start(echo);
    expect((await call(body, headers)).headers).toMatchObject({ "grpc-status": String(status) });
    expect([(await call()).trailers?.["grpc-status"], failures]).toEqual(["0", []]);
  });

  test("is not read where the gate refuses: the client is told at once, and let go", async () => {
    const { begin, account } = await start(echo, {
      requestGate: () => Promise.reject(new ConnectError("who?", Code.Unauthenticated)),
      openBody: () => expect.unreachable(),
    });
    const stream = begin();
    stream.write(frame(request()).subarray(0, 7));
    const { headers, resetCode } = await answerOf(stream);
    expect([headers["grpc-status"], resetCode, account.bytes]).toEqual(["16", constants.NGHTTP2_NO_ERROR, 0]);
  });

  test("is refused as soon as it announces too much", async () => {
    const { begin } = await start(echo);
    const stream = begin();
    stream.write(frame(Buffer.alloc(MESSAGE_BYTES_MAX + 1)).subarray(0, 5));
    const { headers, resetCode } = await answerOf(stream);
    expect([headers["grpc-status"], resetCode]).toEqual(["8", constants.NGHTTP2_NO_ERROR]);
  });

  test("that comes too slowly is answered with the error of whoever watches it", async () => {
    const late = new ConnectError("too slow", Code.DeadlineExceeded);
    const { begin } = await start(echo, {
      openBody: (_session, _headers, onLate) => {
        setImmediate(onLate, late);
        return { take: () => {}, complete: () => {}, release: () => {} };
      },
    });
    expect((await answerOf(begin())).headers).toMatchObject({ "grpc-status": "4", "grpc-message": "too slow" });
  });
});

test("bytes that come after the answer are neither kept nor counted", async () => {
  let released = false;
  const takenLate: number[] = [];
  const { call } = await start(echo, {
    messageBytesMax: () => 1_000_000,
    openBody: (_session, _headers, onLate) => ({
      take: (bytes) => (released ? takenLate.push(bytes) : onLate(new ConnectError("too slow", Code.DeadlineExceeded))),
      complete: () => {},
      release: () => {
        released = true;
      },
    }),
  });
  // Several DATA frames, of which the first ends the call.
  expect((await call(frame(Buffer.alloc(60_000)))).headers).toMatchObject({ "grpc-status": "4" });
  expect([released, takenLate]).toEqual([true, []]);
});

test("a call whose deadline has passed on arrival reaches neither gate nor service", async () => {
  const { call } = await start(() => expect.unreachable(), { requestGate: () => expect.unreachable() });
  expect((await call(undefined, { "grpc-timeout": "0m" })).headers).toMatchObject({ "grpc-status": "4" });
});

test("a deadline is answered whatever the service waits for", async () => {
  const { call } = await start(() => new Promise(() => {}));
  expect((await call(undefined, { "grpc-timeout": "50m" })).headers).toMatchObject({ "grpc-status": "4" });
});

test("a client that goes away aborts the signal, and the late answer harms nobody", async () => {
  const arrived = Promise.withResolvers<HandlerContext>();
  const answer = Promise.withResolvers<{ webhook: { id: string } }>();
  const { begin, call, failures } = await start(({ id }, context) => {
    if (id === "two") return { webhook: { id } };
    arrived.resolve(context);
    return answer.promise;
  });
  const stream = begin();
  stream.end(frame(request("one")));
  const { signal } = await arrived.promise;
  expect(signal.aborted).toBe(false);
  const aborted = once(signal, "abort");
  stream.close(constants.NGHTTP2_CANCEL);
  await aborted;
  expect(signal.reason).toMatchObject({ code: Code.Canceled });
  answer.resolve({ webhook: { id: "late" } });
  expect(idOf((await call(frame(request("two")))).body)).toBe("two");
  expect(failures).toEqual([]);
});

test("a large answer is compressed for those who take that, a small one for nobody", async () => {
  const { call } = await start(echo);
  const gzip = { "grpc-accept-encoding": "identity,gzip" };
  const large = await call(frame(request("x".repeat(500))), gzip);
  expect([large.headers["grpc-encoding"], large.body[0]]).toEqual(["gzip", 1]);
  expect(large.body.length).toBeLessThan(200);
  const small = await call(frame(request("x")), gzip);
  expect([small.headers["grpc-encoding"], small.body[0]]).toEqual(["gzip", 0]);
  const plain = await call(frame(request("x".repeat(500))));
  expect([plain.headers["grpc-encoding"], plain.body[0]]).toEqual([undefined, 0]);
});

test(`${PATH} takes JSON, too`, async () => {
  const { call } = await start(echo);
  const json = frame(Buffer.from('{"id":"three"}'));
  const { headers, body } = await call(json, { "content-type": "application/grpc+json" });
  expect(headers["content-type"]).toBe("application/grpc+json");
  expect(JSON.parse(body.subarray(5).toString())).toMatchObject({ webhook: { id: "three" } });
});
