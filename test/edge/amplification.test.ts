/** Messages of strangers that are small on the wire and large in memory, or that cost far more time than bytes. */
import { once } from "node:events";
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";

const HEALTH = "/grpc.health.v1.Health/Check";
const RECEIVE = "/alumia.webhooks.v1.ReceiveService/Receive";
/** Far less than what the parsed forms would take, MiB. */
const GROWTH_MIB_MAX = 150;

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => await service?.stop());

/** The grpc-status of one unary call whose message is gzipped. */
async function grpcStatus(path: string, message: Buffer): Promise<unknown> {
  const session = connect(service.url);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      "grpc-encoding": "gzip",
      te: "trailers",
    });
    const data = gzipSync(message);
    const head = Buffer.alloc(5);
    head[0] = 1;
    head.writeUInt32BE(data.length, 1);
    let status: unknown;
    stream.on("response", (headers) => {
      status = headers["grpc-status"];
    });
    stream.on("trailers", (headers) => {
      status = headers["grpc-status"];
    });
    stream.resume().end(Buffer.concat([head, data]));
    await once(stream, "close");
    return status;
  } finally {
    session.destroy();
  }
}

const heapMiB = () => process.memoryUsage().heapUsed / 2 ** 20;

test("what needs no key takes no large message", async () => {
  expect(await grpcStatus(HEALTH, Buffer.alloc(15 * 2 ** 20, Buffer.from([0x10, 1])))).toBe("8");
  const json = { method: "POST", headers: { "content-type": "application/json" } };
  const large = await fetch(service.url + HEALTH, { ...json, body: JSON.stringify({ service: "x".repeat(8_192) }) });
  expect([large.status, ((await large.json()) as { code: string }).code]).toEqual([429, "resource_exhausted"]);
});

test.each([
  ["fields that nobody knows", Buffer.from([0x20, 1])],
  ["parts of a body that nobody reads", Buffer.from([0x12, 2, 0x1a, 0])],
])("a receive of millions of %s becomes nothing", async (_what, part) => {
  const before = heapMiB();
  expect(await grpcStatus(RECEIVE, Buffer.alloc(4 * 2 ** 20, part))).toBe("5");
  expect(heapMiB() - before).toBeLessThan(GROWTH_MIB_MAX);
});

test("JSON of more values than anybody needs is refused before it is parsed", async () => {
  const body = `{"x":[${"{},".repeat(60_000)}{}]}`;
  const headers = { "content-type": "application/json" };
  const answer = await fetch(service.url + RECEIVE, { method: "POST", headers, body });
  expect([answer.status, await answer.json()]).toEqual([
    400,
    expect.objectContaining({ code: "invalid_argument", message: "the body has more than 50000 values" }),
  ]);
});

test("an endless stream holds nothing of the message that began it", async () => {
  const session = connect(service.url);
  const stream = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Watch",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(Buffer.concat([Buffer.alloc(5), Buffer.alloc(0)]));
  await once(stream, "data");
  expect(service.app.bodyBytes()).toBe(0);
  session.destroy();
});
