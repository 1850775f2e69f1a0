import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type Handlers, serveHttp1, serveHttp2, signalled } from "./serve.ts";

/** Waits for the signal and throws its reason. */
async function aborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) {
    await once(signal, "abort");
  }
  throw signal.reason;
}

async function* watch({ count, then }: Record<string, unknown>, context: HandlerContext): AsyncGenerator<unknown> {
  context.responseHeader.set("x-watch", "yes");
  for (let number = 1; number <= Number(count); number++) {
    yield { number };
  }
  if (then === "fail") {
    throw new ConnectError("broke", Code.DataLoss);
  }
  if (then === "hang") {
    await aborted(context.signal);
  }
}

async function* fetchBody({ count, then }: Record<string, unknown>, context: HandlerContext): AsyncGenerator<unknown> {
  for (let piece = 1; piece <= Number(count); piece++) {
    const data = new TextEncoder().encode(`<${piece}>`);
    yield { body: { contentType: piece === 1 ? "text/xml" : "text/later", data } };
  }
  if (then === "fail") {
    throw new ConnectError("broke", Code.DataLoss);
  }
  if (then === "hang") {
    await aborted(context.signal);
  }
}

const handlers: Handlers = { watch, fetch: fetchBody };

describe.each([
  ["HTTP/1.1", serveHttp1],
  ["HTTP/2", serveHttp2],
] as const)("streams over %s", (_name, serve) => {
  test.each([
    [67, "/v1/watch?count=2", 200, `{"result":{"number":1}}\n{"result":{"number":2}}\n`, "application/x-ndjson"],
    [67, "/v1/watch", 200, "", "application/x-ndjson"],
    [
      67,
      "/v1/watch?count=1&then=fail",
      200,
      `{"result":{"number":1}}\n{"error":{"code":"DataLoss","message":"broke"}}\n`,
      "application/x-ndjson",
    ],
    [67, "/v1/watch?then=fail", 500, `{"error":{"code":"DataLoss","message":"broke"}}`, "application/json"],
    [64, "/v1/fetch?count=3", 200, "<1><2><3>", "text/xml"],
    [64, "/v1/fetch", 200, "", "application/octet-stream"],
    [64, "/v1/fetch?then=fail", 500, `{"error":{"code":"DataLoss","message":"broke"}}`, "application/json"],
  ])("row %i: %s", async (_row, path, status, text, contentType) => {
    const server = await serve(handlers);
    const reply = await server.call({ path });
    await server.close();
    expect([reply.status, reply.text, reply.headers["content-type"]]).toEqual([status, text, contentType]);
    expect(reply.headers["x-content-type-options"]).toBe("nosniff");
  });

  test("headers of the RPC pass through; HEAD has them without the body and ends the stream", async () => {
    const server = await serve(handlers);
    expect((await server.call({ path: "/v1/watch?count=1" })).headers["x-watch"]).toBe("yes");
    const head = await server.call({ method: "HEAD", path: "/v1/watch?count=1&then=hang" });
    await server.close();
    expect([head.status, head.text, head.headers["x-watch"]]).toEqual([200, "", "yes"]);
  });

  test("raw bytes that break off are not passed off as whole", async () => {
    const server = await serve(handlers);
    await expect(server.call({ path: "/v1/fetch?count=1&then=fail" })).rejects.toThrow();
    await server.close();
  });

  test("a deadline ends a stream with an error line, even if the service does not listen", async () => {
    async function* deaf(): AsyncGenerator<unknown> {
      yield { number: 1 };
      await new Promise(() => undefined);
    }
    const server = await serve({ watch: deaf });
    const reply = await server.call({ path: "/v1/watch", headers: { "x-server-timeout": "0.05" } });
    await server.close();
    expect(reply.text).toMatch(/^\{"result":\{"number":1\}\}\n\{"error":\{"code":"DeadlineExceeded",.*\}\}\n$/);
  });

  test("a slow reader gets everything", async () => {
    const piece = new Uint8Array(100_000).fill(0x61);
    async function* big(): AsyncGenerator<unknown> {
      for (let i = 0; i < 100; i++) {
        yield { body: { contentType: "text/plain", data: piece } };
      }
    }
    const server = await serve({ fetch: big });
    const reply = await server.call({ path: "/v1/fetch" });
    await server.close();
    expect(reply.bytes.length).toBe(10_000_000);
  });
});

describe("clients that go away", () => {
  test("the signal of a stream is aborted, and the service's generator ends", async () => {
    const ended = signalled<unknown>();
    async function* watchUntilGone(request: Record<string, unknown>, context: HandlerContext): AsyncGenerator<unknown> {
      try {
        yield* watch(request, context);
      } catch (error) {
        ended.resolve(error);
      }
    }
    const server = await serveHttp1({ watch: watchUntilGone });
    const request = http.get({ port: server.port, host: "127.0.0.1", path: "/v1/watch?count=1&then=hang" });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    await once(response, "data");
    response.on("error", () => undefined);
    request.destroy();
    expect(await ended.promise).toMatchObject({ code: Code.Canceled, rawMessage: "the client went away" });
    await server.close();
  });

  test("the signal of a unary call is aborted", async () => {
    const started = signalled<AbortSignal>();
    const getShelf = (_request: unknown, { signal }: HandlerContext): Promise<never> => {
      started.resolve(signal);
      return aborted(signal);
    };
    const server = await serveHttp1({ getShelf });
    const request = http.get({ port: server.port, host: "127.0.0.1", path: "/v1/shelf/1" });
    request.on("error", () => undefined);
    const signal = await started.promise;
    request.destroy();
    await expect(aborted(signal)).rejects.toThrow("the client went away");
    await server.close();
  });

  test("half a body is never taken for a whole one", async () => {
    const encoded = signalled<unknown>();
    const called: unknown[] = [];
    const server = await serveHttp1(
      { echoBody: (request) => called.push(request) },
      {
        encodeError(error) {
          encoded.resolve(error);
          return { status: 499, body: {} };
        },
      },
    );
    const socket = net.connect(server.port, "127.0.0.1");
    socket.write("POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{}");
    socket.end();
    expect(await encoded.promise).toBeInstanceOf(Error);
    expect(called).toEqual([]);
    socket.destroy();
    await server.close();
  });
});

/** Sends raw bytes and returns what came back until the server closed, or until `until` matches. */
async function raw(port: number, bytes: string, until: RegExp): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  socket.write(bytes);
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (until.test(text)) {
      break;
    }
  }
  return text;
}

describe("HTTP/1.1 connections", () => {
  const echo: Handlers = { getShelf: ({ name }, { url }) => ({ name: `${name} ${url}` }) };
  const GET = "GET /v1/shelf/2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
  const refused = (length: number): string =>
    `POST /v1/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n${"x".repeat(length)}`;

  test("a small body that nobody reads is skipped and the connection goes on", async () => {
    const server = await serveHttp1(echo);
    const text = await raw(server.port, refused(60_000) + GET, /"2 http/);
    await server.close();
    expect(text).toMatch(
      /^HTTP\/1\.1 404 [\s\S]*there is nothing at this path[\s\S]*HTTP\/1\.1 200 [\s\S]*"2 http:\/\/x\/v1\/shelf\/2"/,
    );
    expect(text.split("HTTP/1.1 200")[0]).not.toMatch(/connection: close/i);
  });

  test("a large one closes the connection, after the answer", async () => {
    const server = await serveHttp1(echo);
    const text = await raw(server.port, refused(200_000) + GET, /never/);
    await server.close();
    expect(text).toMatch(/^HTTP\/1\.1 404 [\s\S]*connection: close[\s\S]*there is nothing at this path/i);
    expect(text).not.toContain("HTTP/1.1 200");
  });

  test("a client that waits for the answer before it sends a large body gets it", async () => {
    const server = await serveHttp1(echo);
    const head = "POST /v1/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n";
    const text = await raw(server.port, head, /at this path/);
    await server.close();
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
  });

  test.each([
    [40, "OPTIONS * HTTP/1.1\r\nhost: x\r\n", /^HTTP\/1\.1 400 [\s\S]*must start with/],
    [
      0,
      "GET http://example.com/v1/shelf/1 HTTP/1.1\r\nhost: example.com\r\n",
      /^HTTP\/1\.1 200 [\s\S]*"1 http:\/\/example\.com\/v1\/shelf\/1"/,
    ],
    [0, "GET /v1/shelf/1 HTTP/1.1\r\nhost: [\r\n", /^HTTP\/1\.1 200 [\s\S]*"1 http:\/\/localhost\/v1\/shelf\/1"/],
    [0, "GET /v1/shelf/1 HTTP/1.0\r\n", /^HTTP\/1\.1 200 [\s\S]*"1 http:\/\/localhost\/v1\/shelf\/1"/],
    [0, "GET /v1/shelf/1 HTTP/1.1\r\nhost: x\r\nx-odd: caf\xe9\r\n", /^HTTP\/1\.1 200 /],
  ])("row %i: %s", async (_row, head, expected) => {
    const server = await serveHttp1(echo);
    const text = await raw(server.port, `${head}connection: close\r\n\r\n`, /never/);
    await server.close();
    expect(text).toMatch(expected);
  });
});
