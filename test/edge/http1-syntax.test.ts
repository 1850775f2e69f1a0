/** Requests of HTTP/1.1 that mean two things to two readers: each is refused, and its connection ends. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import { Listener } from "../../src/edge/listener.ts";
import { exchange, jsonOf, statusOf } from "./wire.ts";

let listener: Listener;
let port: number;
/** Targets that reached the handler. */
let served: (string | undefined)[] = [];

beforeAll(async () => {
  const unexpected = (error: Error) => expect.unreachable(String(error));
  listener = new Listener(
    (request, response) => {
      served.push(request.url);
      request.resume();
      response.end("served");
    },
    LIMITS,
    unexpected,
  );
  port = await listener.listen("127.0.0.1", 0);
});
afterAll(async () => await listener?.close(0));

const SECOND = "GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const post = (headers: string, body: string) => `POST /first HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked", body);

describe("what could be smuggled is never served", () => {
  test.each<[string, string]>([
    ["a length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n")],
    ["chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n")],
    ["two lengths", post("Content-Length: 0\r\nContent-Length: 5", "")],
    ["a list of lengths", post("Content-Length: 0, 5", "")],
    ["a negative length", post("Content-Length: -1", "")],
    ["a signed length", post("Content-Length: +0", "")],
    ["chunks that are not last", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n")],
    ["an encoding that only looks like chunks", post("Transfer-Encoding: xchunked", "0\r\n\r\n")],
    ["a space before the colon", post("Transfer-Encoding : chunked", "0\r\n\r\n")],
    ["a folded header", post("X: a\r\n Transfer-Encoding: chunked", "0\r\n\r\n")],
    ["a line feed alone in the headers", "POST /first HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n"],
    ["a chunk size that is none", chunked("zz\r\n\r\n")],
    ["an empty chunk size", chunked("\r\n\r\n")],
    ["a chunk size with a prefix", chunked("0x0\r\n\r\n")],
    ["a negative chunk size", chunked("-1\r\n\r\n")],
    ["a chunk size beyond all numbers", chunked(`${"f".repeat(20)}\r\n`)],
    ["a chunk longer than it says", chunked("1\r\nab\r\n0\r\n\r\n")],
    ["a chunk that ends in a line feed alone", chunked("1\r\na\n0\r\n\r\n")],
    ["no Host", "GET /first HTTP/1.1\r\n\r\n"],
    ["two Hosts", "GET /first HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["the same Host twice", "GET /first HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"],
    ["a Host that is none", "GET /first HTTP/1.1\r\nHost: a b\r\n\r\n"],
    ["a Host with user information", "GET /first HTTP/1.1\r\nHost: user@a\r\n\r\n"],
    ["two Hosts on HTTP/1.0", "GET /first HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"],
  ])("%s", async (_what, bytes) => {
    served = [];
    const answer = await exchange(port, `${bytes}${SECOND}`);
    // Some are seen only in the body, when the request has been answered already.
    expect([200, 400]).toContain(statusOf(answer));
    expect(answer).toMatch(/HTTP\/1\.1 400 |served/);
    expect(served).not.toContain("/smuggled");
  });
});

test("a Host that is refused is told so", async () => {
  const answer = await exchange(port, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  const message = "the request must have one valid Host";
  expect([statusOf(answer), jsonOf(answer)]).toEqual([400, { error: { code: "BAD_REQUEST", message, details: [] } }]);
});

test.each([
  ["chunks", chunked("5\r\nhello\r\n0\r\n\r\n")],
  ["a chunk with an extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n")],
  ["chunks with a trailer", chunked("5\r\nhello\r\n0\r\nX: y\r\n\r\n")],
  ["an empty Host", "GET /first HTTP/1.1\r\nHost:\r\n\r\n"],
  ["an IPv6 Host", "GET /first HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"],
])("%s is served, and what follows it", async (_what, bytes) => {
  served = [];
  await exchange(port, `${bytes}${SECOND}`);
  expect(served).toEqual(["/first", "/smuggled"]);
});
