/** One call: what services and interceptors see of it, and how it ends. */
import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, type Interceptor, type MethodImplSpec } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { GetWebhookRequestSchema, WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { CallHeaders } from "../../src/call/call-headers.ts";
import { CallContext, type CallInit } from "../../src/call/context.ts";
import { invokeServerStream, invokeUnary, type ServerStreamingSpec, type UnarySpec } from "../../src/call/invoke.ts";

const method = WebhookService.method.getWebhook;
const message = create(GetWebhookRequestSchema, { id: "one" });

const contextOf = (init: Partial<CallInit> = {}) =>
  new CallContext({
    method,
    protocolName: "grpc",
    requestMethod: "POST",
    headers: { "x-a": "1" },
    url: () => "http://x/y",
    timeoutMs: undefined,
    values: createContextValues(),
    ...init,
  });

const unary = (impl: Extract<MethodImplSpec, { kind: "unary" }>["impl"]): UnarySpec => ({
  kind: "unary",
  method,
  impl,
});

describe("unary", () => {
  test("the answer is a whole message, made of what the implementation gives", async () => {
    const spec = unary(async () => ({ webhook: { id: "one" } }));
    const answer = await invokeUnary(spec, [], contextOf(), message);
    expect(answer).toMatchObject({ $typeName: method.output.typeName, webhook: { id: "one", events: [] } });
  });

  test("interceptors run from the first to the last, and see request and response", async () => {
    const seen: string[] = [];
    const note =
      (name: string): Interceptor =>
      (next) =>
      async (request) => {
        seen.push(`${name} ${request.method.name} ${request.url} ${request.header.get("x-a")}`);
        const response = await next(request);
        seen.push(`${name} ${response.stream} ${response.header.get("x-b")} ${response.trailer.get("x-c")}`);
        return response;
      };
    const spec = unary((_message, context) => {
      context.responseHeader.set("x-b", "2");
      context.responseTrailer.set("x-c", "3");
      return {};
    });
    await invokeUnary(spec, [note("first"), note("last")], contextOf(), message);
    const [asked, answered] = ["GetWebhook http://x/y 1", "false 2 3"];
    expect(seen).toEqual([`first ${asked}`, `last ${asked}`, `last ${answered}`, `first ${answered}`]);
  });

  test("what an interceptor puts in the place of request and response counts", async () => {
    const replace: Interceptor = (next) => async (request) => {
      const header = new Headers({ "x-a": "changed" });
      const changed = { ...request, header, message: create(GetWebhookRequestSchema, { id: "two" }) };
      const response = await next(changed as typeof request);
      return { ...response, header: new Headers({ "x-b": "new" }) };
    };
    const context = contextOf();
    const spec = unary((input, { requestHeader, responseHeader, signal, timeoutMs }) => {
      responseHeader.set("x-old", "1");
      expect([signal.aborted, timeoutMs()]).toEqual([false, undefined]);
      return { webhook: { id: `${(input as typeof message).id} ${requestHeader.get("x-a")}` } };
    });
    const look: Interceptor = (next) => (request) => {
      expect([request.url, request.signal]).toEqual(["http://x/y", context.signal]);
      return next(request);
    };
    const answer = await invokeUnary(spec, [look, replace, look], context, message);
    expect(answer).toMatchObject({ webhook: { id: "two changed" } });
    expect([...context.responseHeader]).toEqual([["x-b", "new"]]);
  });

  test("an abort ends the wait, and tells the implementation", async () => {
    const context = contextOf();
    const spec = unary(() => new Promise(() => {}));
    const answer = invokeUnary(spec, [], context, message);
    const reason = new ConnectError("enough", Code.Canceled);
    context.abort(reason);
    await expect(answer).rejects.toBe(reason);
    expect(context.signal.reason).toBe(reason);
  });

  test("nothing begins once the call has ended", async () => {
    const context = contextOf();
    context.leave();
    const spec = unary(() => expect.unreachable());
    await expect(invokeUnary(spec, [], context, message)).rejects.toMatchObject({ code: Code.Canceled });
  });
});

describe("server streaming", () => {
  const stream = (impl: ServerStreamingSpec["impl"]): ServerStreamingSpec => ({
    kind: "server_streaming",
    method: EventService.method.getEventBody,
    impl,
  });

  test("messages come one by one, through the interceptors", async () => {
    const count: Interceptor = (next) => async (request) => {
      const response = await next(request);
      if (!response.stream) throw new Error("no stream");
      async function* numbered(messages: AsyncIterable<Message>) {
        for await (const each of messages) yield { ...each, seen: true };
      }
      return { ...response, message: numbered(response.message) };
    };
    const spec = stream(async function* () {
      yield { body: { contentType: "a" } };
      yield {};
    });
    const messages = await Array.fromAsync(invokeServerStream(spec, [count], contextOf(), message));
    expect(messages).toMatchObject([{ body: { contentType: "a" }, seen: true }, { seen: true }]);
  });

  test("a consumer that stops ends the implementation", async () => {
    let ended = false;
    const spec = stream(async function* () {
      try {
        for (;;) yield {};
      } finally {
        ended = true;
      }
    });
    for await (const _message of invokeServerStream(spec, [], contextOf(), message)) break;
    expect(ended).toBe(true);
  });
});

describe("the context", () => {
  test("a deadline aborts", async () => {
    const { signal, timeoutMs } = contextOf({ timeoutMs: 5 });
    expect(timeoutMs()).toBeLessThanOrEqual(5);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    expect(signal.reason).toMatchObject({ code: Code.DeadlineExceeded });
  });

  test.each([0, -1])("a deadline of %i milliseconds has passed", (timeoutMs) => {
    expect(contextOf({ timeoutMs }).signal.reason).toMatchObject({ code: Code.DeadlineExceeded });
  });

  test("only the first end counts, and a signal that is read late knows it", () => {
    const context = contextOf({ timeoutMs: 60_000 });
    context.finish();
    context.leave();
    context.abort(new Error("late"));
    expect(context.signal.reason).toMatchObject({ rawMessage: "the call has ended" });
  });

  test("headers that nobody has set are not there", () => {
    const context = contextOf();
    expect([context.headersSet, context.trailersSet]).toEqual([undefined, undefined]);
    context.responseTrailer.set("x-a", "1");
    expect([context.headersSet, [...(context.trailersSet ?? [])]]).toEqual([undefined, [["x-a", "1"]]]);
  });
});

describe("request headers behave as Headers", () => {
  const raw = { ":path": "/x", "x-a": "1", "x-b": "1, 2", "set-cookie": ["a=1", "b=2"], "x-none": undefined };
  const make = () => new CallHeaders(raw);

  test("reading", () => {
    const headers = make();
    const read = (of: Headers) => ["x-a", "X-A", "x-b", "set-cookie", "x-none", "x-c"].map((name) => of.get(name));
    const before = read(headers);
    expect(before).toEqual(["1", "1", "1, 2", "a=1, b=2", null, null]);
    expect(() => headers.get(":path")).toThrow(TypeError);
    expect([headers.has("x-a"), headers.has("x-none")]).toEqual([true, false]);
    expect(read(headers)).toEqual(before);
    expect(headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });

  test("iterating and copying", () => {
    const headers = make();
    const entries = [
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["x-a", "1"],
      ["x-b", "1, 2"],
    ];
    expect([[...headers], [...headers.entries()], [...new Headers(headers)]]).toEqual([entries, entries, entries]);
    expect([[...headers.keys()].length, [...headers.values()].length]).toEqual([4, 4]);
    const each: unknown[] = [];
    headers.forEach((value, name, parent) => {
      each.push([name, value, parent === headers]);
    });
    expect(each).toEqual(entries.map(([name, value]) => [name, value, true]));
  });

  test("writing", () => {
    const headers = make();
    headers.set("x-a", "changed");
    headers.append("x-b", "3");
    headers.delete("set-cookie");
    expect([headers.get("x-a"), headers.get("x-b"), headers.get("set-cookie")]).toEqual(["changed", "1, 2, 3", null]);
    expect(raw["x-a"]).toBe("1");
  });
});
