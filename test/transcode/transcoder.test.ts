import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { Code, ConnectError, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TranscoderOptions } from "../../src/transcode/transcoder.ts";
import { BODY_BYTES_MAX, type Call, encodeError, type Handlers, type Server, serveHttp1, serveHttp2 } from "./serve.ts";

const echo = (request: unknown): unknown => request;
const USER = createContextKey("nobody");

const handlers: Handlers = {
  getShelf: ({ name }) => ({ name }),
  deleteShelf: () => {
    throw new ConnectError("not yours", Code.PermissionDenied);
  },
  listShelves: () => ({ name: "all" }),
  createBook: (request) => ({ request }),
  moveBooks: echo,
  upload: ({ filename, file }) => ({ filename, ...(file as object) }),
  mirror: echo,
  updateThing: ({ thing }) => ({ thing }),
  echoQuery: echo,
  echoBody: echo,
  listCheckouts: () => ({ checkouts: [{ id: 123n }] }),
  anyMethod: () => ({}),
  postAny: () => ({ name: "post" }),
};

const PROTOCOLS = [
  ["HTTP/1.1", serveHttp1],
  ["HTTP/2", serveHttp2],
] as const;

type Serve = (handlers: Handlers, options?: Partial<TranscoderOptions>) => Promise<Server>;

/** Runs a test against a server of its own. */
async function withServer(
  serve: Serve,
  more: Handlers,
  options: Partial<TranscoderOptions>,
  run: (server: Server) => Promise<void>,
): Promise<void> {
  const server = await serve({ ...handlers, ...more }, options);
  try {
    await run(server);
  } finally {
    await server.close();
  }
}

const JSON_BODY = { "content-type": "application/json" };

describe.each(PROTOCOLS)("answers over %s", (_name, serve) => {
  let server: Server;
  beforeAll(async () => {
    server = await serve(handlers);
  });
  afterAll(() => server.close());

  const bad = (code: string, message: string, details: unknown[] = []): string =>
    JSON.stringify({ error: { code, message, details } });
  const post = (path: string, body: string | Uint8Array, headers: Record<string, string> = JSON_BODY): Call => ({
    method: "POST",
    path,
    headers,
    body,
  });
  const deep = (levels: number): string => `{"structValue":${`{"a":`.repeat(levels - 1)}{}${"}".repeat(levels)}`;

  test.each<[number, Call, number, string]>([
    [26, { path: "/v1/shelves/1/books/a%2Fb?filter=x" }, 200, `{"name":"shelves/1/books/a%2Fb"}`],
    [31, { path: "/v1/shelf/all" }, 200, `{"name":"all"}`],
    [31, { path: "/v1/shelf/a%3Ab" }, 200, `{"name":"a:b"}`],
    [28, { path: "/v1/shelf/%zz" }, 400, bad("BAD_REQUEST", "the request path has a malformed percent escape")],
    [
      32,
      { method: "DELETE", path: "/v1/shelf/all" },
      405,
      bad("METHOD_NOT_ALLOWED", "this path takes GET, HEAD, OPTIONS"),
    ],
    [
      33,
      { method: "PUT", path: "/v1/shelf/1" },
      405,
      bad("METHOD_NOT_ALLOWED", "this path takes GET, DELETE, HEAD, OPTIONS"),
    ],
    [34, { path: "/v1/nothing" }, 404, bad("NOT_FOUND", "there is nothing at this path")],
    [34, { path: "/" }, 404, bad("NOT_FOUND", "there is nothing at this path")],
    [
      35,
      post("/v1/echo", "{}", { "content-type": "application/foo" }),
      415,
      bad("UNSUPPORTED_MEDIA_TYPE", "the content-type must be application/json"),
    ],
    [
      35,
      post("/v1/echo", "{}", { "content-type": "application/jsonp" }),
      415,
      bad("UNSUPPORTED_MEDIA_TYPE", "the content-type must be application/json"),
    ],
    [
      37,
      post("/v1/echo", "{}", { "content-encoding": "blah" }),
      415,
      bad("UNSUPPORTED_MEDIA_TYPE", "the content-encoding must be identity or gzip"),
    ],
    [
      37,
      post("/v1/echo", "{}", { "content-encoding": "gzip, gzip" }),
      415,
      bad("UNSUPPORTED_MEDIA_TYPE", "the content-encoding must be identity or gzip"),
    ],
    [38, { path: "/v1/shelf/1", headers: JSON_BODY, body: "{not json" }, 200, `{"name":"1"}`],
    [44, { method: "PURGE", path: "/v1/any" }, 200, "{}"],
    [44, { method: "POST", path: "/v1/any" }, 200, `{"name":"post"}`],
    [
      45,
      post("/v1/shelves/1/books?bookId=1&request_id=2", `{"author":"A"}`),
      200,
      `{"request":{"parent":"shelves/1","book":{"name":"","author":"A"},"bookId":1,"requestId":"2"}}`,
    ],
    [46, post("/v2/shelves/1/books:move", `["b1","b2"]`), 200, `{"parent":"shelves/1","books":["b1","b2"]}`],
    [
      47,
      post("/message.txt:upload", "{raw", { "content-type": "text/plain" }),
      200,
      `{"filename":"message.txt","contentType":"text/plain","data":"e3Jhdw=="}`,
    ],
    [
      50,
      { path: "/v1/echo?int32Value=x" },
      400,
      bad("BAD_REQUEST", "int32Value: must be an integer from -2147483648 to 2147483647", [
        { field: "int32Value", rule: "type", message: "must be an integer from -2147483648 to 2147483647" },
      ]),
    ],
    [
      60,
      { path: "/v1/echo?noSuch=x" },
      400,
      bad("BAD_REQUEST", "noSuch: unknown query parameter", [
        { field: "noSuch", rule: "unknown", message: "unknown query parameter" },
      ]),
    ],
    [63, { path: "/v1/checkouts" }, 200, `[{"id":"123","createTime":null,"labels":{},"books":[]}]`],
    [64, post("/v1/mirror", "<b>", { "content-type": "text/html" }), 200, "<b>"],
    [
      70,
      post("/v1/echo", `{"nested":{"x":1}}`),
      400,
      bad("BAD_REQUEST", "nested.x: unknown field", [{ field: "nested.x", rule: "unknown", message: "unknown field" }]),
    ],
    [0, post("/v1/echo", `{"a"`), 400, bad("BAD_REQUEST", "the body is not valid JSON (at character 4)")],
    [0, post("/v1/echo", Uint8Array.of(0x22, 0xff, 0x22)), 400, bad("BAD_REQUEST", "the body is not valid UTF-8")],
    [0, post("/v1/echo", deep(100)), 400, bad("BAD_REQUEST", "the body is nested deeper than 100 levels")],
    [
      0,
      post("/v1/echo", gzipSync("{}").subarray(0, 15), { "content-encoding": "gzip" }),
      400,
      bad("BAD_REQUEST", "the body is not valid gzip"),
    ],
    [
      0,
      { path: "/v1/shelf/1", headers: { "x-server-timeout": "soon" } },
      400,
      bad("BAD_REQUEST", "x-server-timeout must be a number of seconds"),
    ],
  ])("row %i: %o", async (_row, call, status, text) => {
    const reply = await server.call(call);
    expect({ status: reply.status, text: reply.text }).toEqual({ status, text });
    expect(reply.headers["content-length"]).toBe(String(reply.bytes.length));
    expect(reply.headers["x-content-type-options"]).toBe("nosniff");
    expect(reply.headers["content-type"]).toBe(text === "<b>" ? "text/html" : "application/json");
  });

  test.each([
    [36, "application/json;charset=utf-8"],
    [36, "application/json; charset=UTF-8"],
    [36, "application/json; charset=Utf-8"],
    [36, "Application/JSON ; x=y"],
    [0, undefined],
  ])("row %i: content-type %s is taken", async (_row, contentType) => {
    const headers = contentType === undefined ? {} : { "content-type": contentType };
    const reply = await server.call(post("/v1/echo/x", `{"int32Value":5}`, headers));
    expect(reply.status).toBe(200);
    expect(JSON.parse(reply.text)).toMatchObject({ stringValue: "x", int32Value: 5 });
  });

  test('row 39: no body where body is "*", whatever type it would have had', async () => {
    for (const headers of [{}, { "content-type": "text/plain", "content-length": "0" }]) {
      const reply = await server.call({ method: "POST", path: "/v1/echo/x", headers });
      expect(reply.status).toBe(200);
      expect(JSON.parse(reply.text)).toMatchObject({ stringValue: "x", int32Value: 0 });
    }
  });

  test("rows 33, 37: refusals say what would be taken", async () => {
    expect((await server.call({ method: "PUT", path: "/v1/shelf/1" })).headers.allow).toBe(
      "GET, DELETE, HEAD, OPTIONS",
    );
    const encoded = await server.call(post("/v1/echo", "{}", { "content-encoding": "br" }));
    expect(encoded.headers["accept-encoding"]).toBe("gzip");
  });

  test("row 43: HEAD answers as GET without the body, OPTIONS with Allow", async () => {
    const { date: _date, ...get } = (await server.call({ path: "/v1/shelf/1" })).headers;
    const head = await server.call({ method: "HEAD", path: "/v1/shelf/1" });
    expect(head.headers).toMatchObject(get);
    expect(head.text).toBe("");
    expect(head.headers["content-length"]).toBe("12");
    const missing = await server.call({ method: "HEAD", path: "/v1/nothing" });
    expect([missing.status, missing.text]).toEqual([404, ""]);
    const options = await server.call({ method: "OPTIONS", path: "/v1/shelf/1" });
    expect([options.status, options.text, options.headers.allow]).toEqual([204, "", "GET, DELETE, HEAD, OPTIONS"]);
    expect(options.headers["content-length"]).toBeUndefined();
  });

  test("row 64: raw bytes cannot run as a page, and an unset type is unknown bytes", async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const reply = await server.call(post("/v1/mirror", bytes, {}));
    expect(reply.bytes).toEqual(Buffer.from(bytes));
    expect(reply.headers["content-type"]).toBe("application/octet-stream");
    expect(reply.headers["content-security-policy"]).toBe("default-src 'none'; sandbox");
  });

  test("gzip is expanded, within the bound", async () => {
    const gzip = { "content-encoding": "gzip" };
    const taken = await server.call(post("/v1/echo/x", gzipSync(`{"int32Value":5}`), gzip));
    expect(JSON.parse(taken.text)).toMatchObject({ int32Value: 5 });
    const bomb = await server.call(post("/v1/echo", gzipSync(Buffer.alloc(100 * BODY_BYTES_MAX, " ")), gzip));
    expect([bomb.status, bomb.text]).toEqual([413, bad("PAYLOAD_TOO_LARGE", "the body is larger than 1000000 bytes")]);
  });

  test("a body of exactly the bound is taken, one byte more is not, declared or not", async () => {
    const body = (length: number): string => `{"stringValue":"${"x".repeat(length - 18)}"}`;
    expect((await server.call(post("/v1/echo", body(BODY_BYTES_MAX)))).status).toBe(200);
    for (const headers of [JSON_BODY, { ...JSON_BODY, "content-length": String(BODY_BYTES_MAX + 1) }]) {
      const reply = await server.call(post("/v1/echo", body(BODY_BYTES_MAX + 1), headers));
      expect([reply.status, reply.text]).toEqual([
        413,
        bad("PAYLOAD_TOO_LARGE", "the body is larger than 1000000 bytes"),
      ]);
    }
    // The next call is served, on this connection or on a new one.
    expect((await server.call({ path: "/v1/shelf/1" })).status).toBe(200);
  });
});

describe.each(PROTOCOLS)("the call over %s", (_name, serve) => {
  test("row 71: interceptors, context values, the gate and the service see one call", async () => {
    const seen: unknown[] = [];
    const options: Partial<TranscoderOptions> = {
      openCall: ({ request }) => ({
        values: createContextValues().set(USER, String(request.headers["x-user"])),
        onClose: () => {},
      }),
      requestGate: async (context) => void seen.push(["gate", context.method.name, context.values.get(USER)]),
      interceptors: [
        (next) => async (call) => {
          seen.push([
            "interceptor",
            call.method.name,
            call.contextValues.get(USER),
            call.header.get("x-user"),
            call.message,
          ]);
          const response = await next(call);
          response.header.set("x-intercepted", "yes");
          return response;
        },
      ],
      successStatus: (method) => (method.name === "GetShelf" ? 201 : 200),
    };
    const getShelf = ({ name }: Record<string, unknown>, context: HandlerContext): unknown => {
      seen.push(["service", context.protocolName, context.requestMethod, new URL(context.url).pathname]);
      return { name };
    };
    await withServer(serve, { getShelf }, options, async (server) => {
      const reply = await server.call({ path: "/v1/shelf/1?filter=f", headers: { "x-user": "ada" } });
      expect([reply.status, reply.headers["x-intercepted"]]).toEqual([201, "yes"]);
    });
    expect(seen).toEqual([
      ["gate", "GetShelf", "ada"],
      [
        "interceptor",
        "GetShelf",
        "ada",
        "ada",
        { $typeName: "transcode.test.v1.GetShelfRequest", name: "1", filter: "f" },
      ],
      ["service", "rest", "GET", "/v1/shelf/1"],
    ]);
  });

  test("row 65: the encoder gets what was thrown, as it was thrown", async () => {
    const thrown = new ConnectError("not yours", Code.PermissionDenied);
    const encoded: unknown[] = [];
    const options: Partial<TranscoderOptions> = {
      encodeError(error) {
        encoded.push(error);
        return { status: 403, headers: { "retry-after": "7" }, body: { error: { code: "FORBIDDEN" } } };
      },
    };
    const getShelf = (_request: unknown, context: HandlerContext): never => {
      context.responseHeader.set("x-request-id", "r1");
      throw thrown;
    };
    await withServer(serve, { getShelf }, options, async (server) => {
      const reply = await server.call({ path: "/v1/shelf/1" });
      expect([reply.status, reply.text]).toEqual([403, `{"error":{"code":"FORBIDDEN"}}`]);
      expect(reply.headers).toMatchObject({
        "retry-after": "7",
        "x-request-id": "r1",
        "content-type": "application/json",
      });
    });
    expect(encoded).toEqual([thrown]);
    expect(encoded[0]).toBe(thrown);
  });

  test("an encoder that throws still leaves an answer, and RPCs that are not implemented say so", async () => {
    const options: Partial<TranscoderOptions> = {
      encodeError() {
        throw new Error("secret");
      },
    };
    await withServer(serve, {}, options, async (server) => {
      const reply = await server.call({ path: "/v1/nothing" });
      expect([reply.status, reply.text]).toEqual([500, ""]);
    });
    const { getShelf: _getShelf, ...rest } = handlers;
    const server = await serve(rest);
    const reply = await server.call({ path: "/v1/shelf/1" });
    await server.close();
    expect(JSON.parse(reply.text)).toMatchObject({ error: { code: "Unimplemented" } });
  });

  test("row 68: headers of the RPC pass through, those of the connection and the framing do not", async () => {
    const getShelf = (_request: unknown, { responseHeader }: HandlerContext): unknown => {
      responseHeader.append("set-cookie", "a=1");
      responseHeader.append("set-cookie", "b=2");
      responseHeader.set("cache-control", "no-store");
      for (const name of ["connection", "transfer-encoding", "keep-alive", "upgrade", "te"]) {
        responseHeader.set(name, "x");
      }
      responseHeader.set("content-length", "99999");
      responseHeader.set("content-type", "text/html");
      responseHeader.set("content-encoding", "gzip");
      return { name: "n" };
    };
    await withServer(serve, { getShelf }, {}, async (server) => {
      const reply = await server.call({ path: "/v1/shelf/1" });
      expect(reply.text).toBe(`{"name":"n"}`);
      const { headers } = reply;
      expect(headers).toMatchObject({
        "set-cookie": ["a=1", "b=2"],
        "cache-control": "no-store",
        "content-length": "12",
        "content-type": "application/json",
      });
      for (const name of ["transfer-encoding", "upgrade", "te", "content-encoding"]) {
        expect(headers[name]).toBeUndefined();
      }
      expect(headers.connection).not.toBe("x");
    });
  });

  test("row 68: x-server-timeout sets the deadline, within its bound; one that passes is told", async () => {
    const left: (number | undefined)[] = [];
    const getShelf = async (request: Record<string, unknown>, context: HandlerContext): Promise<unknown> => {
      left.push(context.timeoutMs());
      return request.name === "hang" ? await new Promise(() => undefined) : { name: "n" };
    };
    await withServer(serve, { getShelf }, { timeoutMsMax: 60_000 }, async (server) => {
      const ask = (name: string, seconds: string) =>
        server.call({ path: `/v1/shelf/${name}`, headers: { "x-server-timeout": seconds } });
      await server.call({ path: "/v1/shelf/1" });
      await ask("1", "30");
      await ask("1", "999999999");
      expect(left[0]).toBeUndefined();
      expect(left[1]).toBeGreaterThan(20_000);
      expect(left[1]).toBeLessThanOrEqual(30_000);
      expect(left[2]).toBeGreaterThan(50_000);
      expect(left[2]).toBeLessThanOrEqual(60_000);
      const late = await ask("hang", "0.01");
      expect([late.status, JSON.parse(late.text)]).toMatchObject([504, { error: { code: "DeadlineExceeded" } }]);
    });
  });

  test("the call's signal is aborted when the call has ended", async () => {
    const signals: AbortSignal[] = [];
    const getShelf = (_request: unknown, { signal }: HandlerContext): unknown => {
      signals.push(signal);
      expect(signal.aborted).toBe(false);
      return {};
    };
    await withServer(serve, { getShelf }, {}, async (server) => {
      expect((await server.call({ path: "/v1/shelf/1" })).status).toBe(200);
      expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    });
  });

  test("the gate answers before any byte of the body is read, and the connection stays usable", async () => {
    const called: string[] = [];
    const options: Partial<TranscoderOptions> = {
      async requestGate(context) {
        if (context.requestHeader.get("authorization") !== "Bearer good") {
          throw new ConnectError("who are you", Code.Unauthenticated);
        }
      },
      encodeError: (error) => ({ ...encodeError(error), status: 401 }),
    };
    const echoBody = (request: unknown): unknown => {
      called.push("service");
      return request;
    };
    await withServer(serve, { echoBody }, options, async (server) => {
      for (const length of [10, 10_000, 300_000, 3_000_000]) {
        const body = "{".repeat(length);
        for (const headers of [JSON_BODY, { ...JSON_BODY, "content-length": String(length) }]) {
          const reply = await server.call({ method: "POST", path: "/v1/echo", headers, body });
          expect([reply.status, reply.text]).toEqual([
            401,
            `{"error":{"code":"Unauthenticated","message":"who are you"}}`,
          ]);
        }
      }
      expect(called).toEqual([]);
      const good = { ...JSON_BODY, authorization: "Bearer good" };
      expect((await server.call({ method: "POST", path: "/v1/echo", headers: good, body: "{}" })).status).toBe(200);
    });
  });

  test("many bytes come back whole", async () => {
    await withServer(serve, {}, { bodyBytesMax: 10_000_000 }, async (server) => {
      const body = Buffer.alloc(5_000_000, "abcdefg");
      const reply = await server.call({ method: "POST", path: "/v1/mirror", body });
      expect(createHash("sha256").update(reply.bytes).digest("hex")).toBe(
        createHash("sha256").update(body).digest("hex"),
      );
    });
  });
});
